import { expect, it, onTestFinished } from 'vitest'
import { resolveOptions } from '../../../src/http/options.ts'
import type { Hub } from '../../../src/hub/hub.ts'
import { SseStream } from '../../../src/stream/stream.ts'
import { startRedis } from '../../support/brokers.ts'
import { FakeTransport } from '../../support/fake-transport.ts'
import { collectGarbage } from '../../support/garbage.ts'
import {
  admin,
  adminOf,
  bytesSent,
  commandsOf,
  key,
  nodeRedis,
  numbers,
  openHub,
  statesOf,
} from '../../support/redis-hub.ts'

const KB = 1_000
const MB = 1_000 * KB

/** Counts the events that are written, and keeps none of them. A slow one is full from the first event on. */
class CountingTransport extends FakeTransport {
  events = 0
  gaps = 0
  isSlow = false

  override write(bytes: Buffer): boolean {
    const text = bytes.toString('latin1')
    this.gaps += text.match(/^event: gap$/gm)?.length ?? 0
    this.events += text.match(/^data: "?x/gm)?.length ?? 0
    return !this.isSlow || this.events === 0
  }
}

/** Connects a client that resumes after an event. */
function resume(hub: Hub, id: string, { channels = ['a'], isSlow = false } = {}) {
  const transport = new CountingTransport()
  transport.isSlow = isSlow
  const stream = SseStream._open(transport, resolveOptions({ heartbeat: 0 }), { id })
  hub.subscribe(stream, channels)
  const disconnect = () => transport.lose()
  onTestFinished(disconnect)
  return { stream, transport, disconnect }
}

/** Appends events of a size at once. Resolves with their ids. */
async function add(count: number, size: number, { to = admin, channel = 'a' } = {}): Promise<string[]> {
  const record = JSON.stringify({ data: 'x'.repeat(size), isText: true })
  const ids: string[] = []
  while (ids.length < count) {
    const transaction = to.multi()
    for (let i = Math.min(count - ids.length, 1_000); i > 0; i--)
      transaction.xadd(key, '*', 'c', channel, 'e', record)
    ids.push(...((await transaction.exec()) ?? []).map(([, id]) => String(id)))
  }
  return ids
}

/** Opens the hub of a process that has just started, which caches few events. */
async function startedHub(...[options, client]: Parameters<typeof openHub>): Promise<Hub> {
  const hub = openHub({ recentEvents: 5, ...options }, client)
  await expect.poll(() => hub.state).toBe('ready')
  return hub
}

it('300 clients with invented ids cost Redis a few commands, and no publish waits', async () => {
  await add(2_000, 2 * KB)
  const hub = await startedHub()
  const states = statesOf(hub)
  const [commands, bytes] = [await commandsOf('xrange'), await bytesSent()]
  const clients = numbers(1, 301).map((n) => resume(hub, `${n}-0`))
  for (let n = 0; n < 20; n++) await hub.channel('b').publish({ data: n })
  await expect.poll(() => clients.filter(({ transport }) => transport.gaps === 1).length).toBe(300)
  expect((await commandsOf('xrange')) - commands).toBeLessThan(20)
  expect((await bytesSent()) - bytes).toBeLessThan(100 * KB)
  expect(states).toEqual([])
})

it('60 clients at their own positions after a restart are served by one read of large events', async () => {
  const [count, size] = [180, 50 * KB]
  const ids = await add(count, size)
  const hub = await startedHub()
  const states = statesOf(hub)
  const bytes = await bytesSent()
  const clients = numbers(0, 60).map((n) => resume(hub, ids[Number(n) * 2] as string))
  for (let n = 0; n < 10; n++) await hub.channel('b').publish({ data: n })
  await expect
    .poll(() => clients.map(({ transport }) => transport.events))
    .toEqual(clients.map((_, at) => count - 1 - 2 * at))
  expect((await bytesSent()) - bytes).toBeLessThan(2 * count * size)
  expect(clients.map(({ transport }) => transport.gaps)).toEqual(clients.map(() => 0))
  expect(states).toEqual([])
})

it('clients that do not read hold an event each of their replay, and the store its budget', async () => {
  const heldBytes = () => {
    collectGarbage()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const [first = ''] = await add(2_000, 10 * KB)
  const hub = await startedHub({ replayBytes: 2 * MB })
  const before = heldBytes()
  const clients = numbers(0, 30).map(() => resume(hub, first, { isSlow: true }))
  await expect.poll(() => clients.every(({ transport }) => transport.events > 0)).toBe(true)
  await expect.poll(() => hub._store.reads).toMatchObject({ waiting: 0, running: 0 })
  for (const { stream } of clients) expect(stream.bufferedBytes).toBeLessThan(40 * KB)
  expect(hub._store.reads?.bytes).toBeLessThan(2 * MB)
  expect(heldBytes() - before).toBeLessThan(10 * MB)
})

it('1 000 clients that connect and disconnect during an outage cause no read after it', async () => {
  const own = await startRedis()
  const other = adminOf(own.port)
  const ids = await add(1_100, 2 * KB, { to: other })
  const hub = await startedHub({}, nodeRedis(own.port))
  await own.stop()
  await expect.poll(() => hub.state).toBe('reconnecting')
  for (let round = 0; round < 10; round++) {
    const clients = ids.slice(100 * round, 100 * round + 100).map((id) => resume(hub, id))
    await new Promise((resolve) => setImmediate(resolve))
    for (const { disconnect } of clients) disconnect()
  }
  await own.start()
  await expect.poll(() => hub.state).toBe('ready')
  const { transport } = resume(hub, ids[0] as string)
  await expect.poll(() => transport.events).toBe(1_099)
  const calls = /cmdstat_xrange:calls=(\d+)/.exec(await other.info('commandstats'))?.[1]
  // A script of the last client reads 16 entries with one.
  expect(Number(calls)).toBeLessThan(150)
})

it('clients of a quiet channel share the read of the other events', async () => {
  const quiet = await add(21, 100, { channel: 'quiet' })
  await add(10_000, 100, { channel: 'busy' })
  const hub = await startedHub()
  const bytes = await bytesSent()
  const clients = quiet.slice(0, 20).map((id) => resume(hub, id, { channels: ['quiet'] }))
  await expect
    .poll(() => clients.map(({ transport }) => transport.events))
    .toEqual(clients.map((_, at) => 20 - at))
  await expect.poll(() => hub._store.reads?.waiting).toBe(0)
  expect((await bytesSent()) - bytes).toBeLessThan(10_000 * 220)
})
