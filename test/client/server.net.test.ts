import { expect, onTestFinished, test, vi } from 'vitest'
import { connect } from '../../src/client/index.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { refuseSseStream } from '../../src/http/refuse.ts'
import { Hub } from '../../src/hub/hub.ts'
import { type Hold, startHoldingProxy } from '../support/holding-proxy.ts'
import { serve } from '../support/serve.ts'

let count = 0

/** Serves a channel of a hub behind a proxy, and connects to it. */
async function connectToHub(hold: () => Hold, options: object = { formats: ['event-stream', 'json'] }) {
  const hub = new Hub()
  const channel = hub.channel('numbers')
  const requests: string[] = []
  const { port, sockets } = await serve((request, response) => {
    requests.push(request.url ?? '')
    channel.subscribe(createSseStream(request, response, { retry: 100, ...options }))
  })
  const proxy = await startHoldingProxy(port, hold)
  const source = connect(`${proxy.url}/hub-${++count}`)
  const received: unknown[] = []
  const transports: string[] = []
  source.addEventListener('message', ({ data }) => received.push(JSON.parse(data).number))
  source.addEventListener('gap', ({ data }) => received.push(data))
  source.addEventListener('transport', ({ transport, reason }) => transports.push(`${transport} ${reason}`))
  onTestFinished(() => source.close())
  return { hub, channel, source, sockets, received, transports, requests }
}

test.each([
  ['none', 'event-stream undefined'],
  ['headers', 'json no-headers'],
  ['body', 'json no-first-byte'],
] as const)('a hub behind a proxy that holds %s delivers each event once', async (hold, transport) => {
  const { channel, source, received, transports } = await connectToHub(() => hold)
  await vi.waitFor(() => expect(transports.at(-1)).toBe(transport), 30_000)
  expect(source.readyState).toBe(source.OPEN)
  const numbers = Array.from({ length: 50 }, (_, number) => number)
  for (const number of numbers) await channel.publish({ data: { number } })
  await vi.waitFor(() => expect(received).toHaveLength(50), 30_000)
  expect(received).toEqual(numbers)
})

test('a hub whose route has no long poll keeps its stream, however late it is', async () => {
  let hold: Hold = 'headers'
  const { channel, transports, requests, received, sockets } = await connectToHub(() => hold, {
    formats: ['event-stream'],
  })
  await vi.waitFor(() => expect(requests.some((url) => url.includes('format=json'))).toBe(true), 30_000)
  hold = 'none'
  // The client then opens another stream.
  for (const socket of sockets) socket.destroy()
  await vi.waitFor(() => expect(transports).toEqual(['event-stream undefined']), 30_000)
  await channel.publish({ data: { number: 1 } })
  await vi.waitFor(() => expect(received).toEqual([1]), 30_000)
})

test('connections that are cut between a stream and polls lose and repeat nothing', async () => {
  const holds: Hold[] = ['none', 'headers', 'none', 'none', 'cut', 'none']
  let next = 0
  const { channel, received, transports, sockets } = await connectToHub(
    () => holds[next++ % holds.length] ?? 'none',
  )
  await vi.waitFor(() => expect(transports).not.toEqual([]), 30_000)
  for (let number = 0; number < 200; number++) {
    await channel.publish({ data: { number } })
    await vi.waitFor(() => expect(received.length).toBeGreaterThan(number - 20), 30_000)
    if (number % 40 === 39) for (const socket of sockets) socket.destroy()
  }
  await vi.waitFor(() => expect(received).toHaveLength(200), 30_000)
  expect(received).toEqual(Array.from({ length: 200 }, (_, number) => number))
})

test('a POST that a server refuses with a `retry` rejects, and is not an empty response', async () => {
  const { url } = await serve((_request, response) => refuseSseStream(response, { retry: 5_000 }))
  const source = connect(url, { method: 'POST', body: 'a question' })
  const next = source[Symbol.asyncIterator]().next()
  await expect(next).rejects.toMatchObject({ code: 'ERR_SSE_STATUS', status: 503 })
})
