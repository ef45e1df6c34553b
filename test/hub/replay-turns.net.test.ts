import { expect, it } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { get } from '../support/client.ts'
import { publishNumbers } from '../support/hub.ts'
import { serve } from '../support/serve.ts'
import { nextTurn } from '../support/streams.ts'

const [CLIENTS, EVENTS, SIZE] = [200, 500, 1_000]
// The budget of a turn of the event loop, the last page of it, and what the buffers of Node pass on meanwhile.
const MAX_TURN = 2 * 250 * 1024

it('turns of the event loop stay short for a live client while many clients resume over sockets', async () => {
  const hub = new Hub()
  const start = await publishNumbers(hub, EVENTS, { size: SIZE })
  const streams: SseStream[] = []
  const { port } = await serve((req, res) => {
    const stream = createSseStream(req, res)
    if (req.url === '/a') streams.push(stream)
    hub.subscribe(stream, (req.url as string).slice(1))
  })
  const live = await get('http', port, { path: '/live' })
  const options = { path: '/a', headers: { 'last-event-id': start } }
  const opening = Promise.all(Array.from({ length: CLIENTS }, () => get('http', port, options)))
  const replayed = () => streams.reduce((sum, { _connection }) => sum + _connection.sentBytes, 0)

  let published = 0
  for (let before = 0; before < CLIENTS * EVENTS * SIZE; before = replayed()) {
    await hub.channel('live').publish({ data: published++ })
    await nextTurn()
    expect(replayed() - before).toBeLessThan(MAX_TURN)
  }

  await live.until(`data: ${published - 1}\n`)
  for (const client of await opening) await client.until(`data: ${EVENTS - 1} `)
})
