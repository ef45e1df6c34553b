import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, expect, it } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { type Client, get } from '../support/client.ts'
import { type Protocol, serve } from '../support/serve.ts'

const PROTOCOLS: Protocol[] = ['http', 'https', 'h2c', 'h2']

const user = new AsyncLocalStorage<string>()

/** A server that handles each request in the context of the user in its path. */
async function openServer(protocol: Protocol) {
  const hub = new Hub()
  const contexts: Array<string | undefined> = []
  const streams = new Map<string, SseStream>()
  const note = () => void contexts.push(user.getStore())
  const { port } = await serve((req, res) => {
    user.run(req.url ?? '', () => {
      const stream = createSseStream(req, res, {
        overflow: 'drop-oldest',
        maxBufferedBytes: 10_000_000,
        maxBufferedEvents: 3,
        stallTimeout: 0,
      })
      streams.set(req.url ?? '', stream)
      const filter = () => {
        note()
        return true
      }
      hub.subscribe(stream, ['news'], { filter })
      if (req.url === '/bob') for (const event of ['drop', 'drain', 'close'] as const) stream.on(event, note)
    })
  }, protocol)
  const connect = (path: string): Promise<Client> => get(protocol, port, { path })
  return { hub, contexts, streams, connect }
}

describe.each(PROTOCOLS)('the listeners and filters of a client over %s', (protocol) => {
  it('run in the context of no request while another client publishes what overflows its queue', async () => {
    const { hub, contexts, streams, connect } = await openServer(protocol)
    await connect('/alice')
    const client = await connect('/bob')
    const bob = streams.get('/bob') as SseStream
    const events = { drop: 0, drain: 0, close: 0 }
    for (const event of ['drop', 'drain', 'close'] as const) bob.on(event, () => events[event]++)
    client.stopReading()
    for (let i = 0; events.drop === 0; i++) {
      await user.run('/alice', async () => {
        await hub.channel('news').publish({ data: 'x'.repeat(500_000) })
        if (i % 2) streams.get('/alice')?.send({ data: 'mine' })
      })
      await new Promise((resolve) => setImmediate(resolve))
    }
    client.resumeReading()
    await expect.poll(() => events.drain).toBeGreaterThan(0)
    client.disconnect()
    await expect.poll(() => events.close).toBe(1)
    expect(contexts.length).toBeGreaterThan(10)
    expect(new Set(contexts)).toEqual(new Set([undefined]))
  })
})
