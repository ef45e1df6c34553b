import { expect, onTestFinished, test, vi } from 'vitest'
import { connect } from '../../src/client/index.ts'
import { startEventServer } from '../support/event-server.ts'
import { type Hold, startHoldingProxy } from '../support/holding-proxy.ts'

let count = 0

/** Connects through a proxy, and publishes an event every 20 ms. */
async function connectThrough(
  hold: Hold | (() => Hold),
  { interval = 20, heartbeat = 15_000, burst = 1000 } = {},
) {
  const server = await startEventServer({ heartbeat })
  const proxy = await startHoldingProxy(server.port, typeof hold === 'string' ? () => hold : hold, burst)
  const source = connect(`${proxy.url}/events-${++count}`, { lastEventId: 'run-0' })
  const received: string[] = []
  const transports: string[] = []
  source.addEventListener('message', ({ data }) => received.push(data))
  source.addEventListener('transport', ({ transport, reason }) => transports.push(`${transport} ${reason}`))
  const timer = setInterval(() => server.publish(String(server.log.length)), interval)
  onTestFinished(() => {
    clearInterval(timer)
    source.close()
  })
  return {
    ...server,
    source,
    received,
    transports,
    /** Stops publishing, and expects each event once and in order. */
    async expectExactlyOnce(): Promise<void> {
      clearInterval(timer)
      await vi.waitFor(() => expect(received.length).toBeGreaterThanOrEqual(server.log.length), 30_000)
      expect(received).toEqual(server.log)
      expect(received.length).toBeGreaterThan(10)
    },
  }
}

test('a stream that is not held stays open, without another request', async () => {
  const { transports, requests, received, expectExactlyOnce } = await connectThrough('none')
  await vi.waitFor(() => expect(received.length).toBeGreaterThan(100), 30_000)
  await expectExactlyOnce()
  expect(transports).toEqual(['event-stream undefined'])
  expect(requests.map(({ kind }) => kind)).toEqual(['stream'])
})

test('a proxy that holds the response headers is detected, and nothing is lost or repeated', async () => {
  const { transports, requests, received, expectExactlyOnce } = await connectThrough('headers')
  await vi.waitFor(() => expect(received.length).toBeGreaterThan(120), 30_000)
  await expectExactlyOnce()
  expect(transports).toEqual(['json no-headers'])
  expect(requests.slice(0, 2).map(({ kind, after }) => `${kind} ${after}`)).toEqual([
    'stream run-0',
    'poll run-0',
  ])
  expect(requests[2]?.query).toMatchObject({ transport: 'json', reason: 'no-headers' })
  expect(requests.filter(({ query }) => query.reason)).toHaveLength(1)
})

test('a stream is padded first behind a proxy that holds the body', async () => {
  const { transports, requests, received, expectExactlyOnce } = await connectThrough('body')
  await vi.waitFor(() => expect(received.length).toBeGreaterThan(20), 30_000)
  await expectExactlyOnce()
  expect(transports).toEqual(['json no-first-byte'])
  expect(requests.slice(0, 3).map(({ kind, query }) => [kind, query.padded])).toEqual([
    ['stream', undefined],
    ['stream', '1'],
    ['poll', undefined],
  ])
})

test('a stream is padded behind a proxy that passes bursts, and then replaced by polls', async () => {
  const options = { interval: 500, heartbeat: 600, burst: 1200 }
  const connection = await connectThrough('bursts', options)
  // On a slow machine, a burst may be so late that the stream counts as silent.
  await vi.waitFor(() => expect(connection.transports.at(-1)).toMatch(/^json (bursts|silent)$/), 50_000)
  expect(connection.requests.some(({ query }) => query.padded)).toBe(true)
  await vi.waitFor(() => expect(connection.received.length).toBeGreaterThan(10), 30_000)
  await connection.expectExactlyOnce()
})

test('a stream is replaced by polls behind a proxy that cuts each stream', async () => {
  const { transports, requests, received, expectExactlyOnce } = await connectThrough('cut')
  await vi.waitFor(() => expect(received.length).toBeGreaterThan(50), 30_000)
  await expectExactlyOnce()
  expect(transports.at(-1)).toBe('json cuts')
  expect(requests.slice(0, 4).map(({ kind }) => kind)).toEqual(['stream', 'stream', 'stream', 'poll'])
})

test('a server that ends its streams again and again is no reason to poll', async () => {
  const { transports, requests, streams, endStreams, expectExactlyOnce } = await connectThrough('none')
  for (let round = 1; round <= 10; round++) {
    await vi.waitFor(() => expect(streams.size).toBe(1), 30_000)
    endStreams()
    await vi.waitFor(() => expect(requests).toHaveLength(round + 1), 30_000)
  }
  await expectExactlyOnce()
  expect(transports).toEqual(['event-stream undefined'])
  expect(requests.every(({ kind }) => kind === 'stream')).toBe(true)
})

test('a network that changes from one fault to the other loses and repeats nothing', async () => {
  const holds: Hold[] = ['none', 'cut', 'none', 'cut', 'cut', 'cut', 'headers', 'none']
  let next = 0
  const { streams, received, expectExactlyOnce } = await connectThrough(
    () => holds[next++ % holds.length] ?? 'none',
  )
  for (let round = 0; round < 6; round++) {
    const before = received.length
    await vi.waitFor(() => expect(received.length).toBeGreaterThan(before + 10), 30_000)
    for (const stream of streams) stream.destroy()
  }
  await expectExactlyOnce()
})
