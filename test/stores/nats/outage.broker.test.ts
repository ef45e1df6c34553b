import { cpSync, rmSync } from 'node:fs'
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { Hub } from '../../../src/hub/hub.ts'
import {
  type JetStreamStoreOptions,
  jetstreamStore,
  type NatsConnection,
} from '../../../src/stores/nats/index.ts'
import { type Broker, startNats } from '../../support/brokers.ts'
import {
  connectNats,
  eventually,
  numbers,
  openConnection,
  openHub as openHubOn,
  publish,
  startCuttableProxy,
  subscribeStream,
} from '../../support/nats-hub.ts'
import { fakeStream, settled } from '../../support/streams.ts'

let broker: Broker
let manager: JetStreamManager
let streams = 0
let stream = ''

beforeAll(async () => {
  broker = await startNats()
  const connection = await connectNats(broker.port)
  manager = await jetstreamManager(connection)
  return async () => {
    await connection.close()
    await broker.end()
  }
})

beforeEach(() => {
  stream = `outage-${++streams}`
})

test('a client receives each event once and in order if the broker is killed in between', async () => {
  const [a, b] = [await openHub(await opened()), await openHub(await opened())]
  const clients = [await subscribeStream(a), await subscribeStream(b)]
  const published: Array<Promise<string>> = []
  for (let i = 0; i < 600; i++) {
    published.push(a.channel('a').publish({ data: i }, { idempotencyKey: `k${i}` }))
    if (i === 300) void broker.stop('SIGKILL').then(() => broker.start())
    if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  }
  const ids = await Promise.all(published)
  expect(new Set(ids).size).toBe(600)
  for (const client of clients) await eventually(() => client.seen.length).toBe(600)
  for (const client of clients) expect(client.seen).toEqual(numbers(0, 599))
  expect(clients[1]?.ids).toEqual(ids)
  const again = a.channel('a').publish({ data: 'again' }, { idempotencyKey: 'k299' })
  expect(await again).toBe(ids[299])
  const resumed = await subscribeStream(await openHub(await opened(), { recentEvents: 10 }), ids[250])
  await eventually(() => resumed.seen).toEqual(numbers(251, 599))
})

test('a publish during an outage waits and appends once', async () => {
  const hub = await openHub(await opened())
  const live = await subscribeStream(hub)
  await broker.stop()
  await eventually(() => hub.state).toBe('reconnecting')
  const published = numbers(0, 49).map((data) => hub.channel('a').publish({ data }))
  await broker.start()
  await Promise.all(published)
  await eventually(() => live.seen).toEqual(numbers(0, 49))
  expect(hub.state).toBe('ready')
})

test('a publish rejects after publishTimeout and is not sent later', async () => {
  const hub = await openHub(await opened(), { publishTimeout: 200 })
  const other = await openHub(await opened())
  const live = await subscribeStream(hub)
  await broker.stop()
  await eventually(() => hub.state).toBe('reconnecting')
  const startedAt = Date.now()
  const late = hub.channel('a').publish({ data: 'late' })
  await expect(late).rejects.toMatchObject({
    code: 'ERR_SSE_STORE',
    message: expect.stringMatching('in time'),
  })
  expect(Date.now() - startedAt).toBeLessThan(5_000)
  await broker.start()
  await eventually(() => hub.state).toBe('ready')
  await other.channel('a').publish({ data: 'next' })
  await eventually(() => live.seen).toEqual(['next'])
})

test('a hub that is created during an outage is ready after it', async () => {
  const connection = await opened()
  await broker.stop()
  const hub = new Hub({ store: jetstreamStore(connection, { streamName: stream, publishTimeout: 30_000 }) })
  onTestFinished(() => hub.shutdown({ grace: 0 }))
  const published = hub.channel('a').publish({ data: 1 })
  expect(hub.state).toBe('connecting')
  await broker.start()
  await expect(published).resolves.toMatch(/-1$/)
  expect(hub.state).toBe('ready')
})

test('a process that was cut off receives the events it missed', async () => {
  const proxy = await startCuttableProxy(broker.port)
  const [a, b] = [await openHub(await opened()), await openHub(await opened(proxy.port))]
  const live = await subscribeStream(b)
  const [first] = await publish(a, [1])
  await eventually(() => live.seen).toEqual([1])
  proxy.cut()
  await eventually(() => b.state).toBe('reconnecting')
  await publish(a, numbers(2, 9))
  const waiting = await subscribeStream(b, first)
  proxy.restore()
  await eventually(() => live.seen).toEqual(numbers(1, 9))
  await eventually(() => waiting.seen).toEqual(numbers(2, 9))
})

test('a process that was cut off for too long sends a gap and the remaining events', async () => {
  const proxy = await startCuttableProxy(broker.port)
  const [a, b] = [await openHub(await opened(), { maxEvents: 5 }), await openHub(await opened(proxy.port))]
  const live = await subscribeStream(b)
  await publish(a, [1])
  await eventually(() => live.seen).toEqual([1])
  proxy.cut()
  await publish(a, numbers(2, 9))
  proxy.restore()
  await eventually(() => live.seen).toEqual([1, 'gap', 5, 6, 7, 8, 9])
})

test('a process that was cut off while the stream was purged sends a gap to live clients at once', async () => {
  const proxy = await startCuttableProxy(broker.port)
  const [a, b] = [await openHub(await opened()), await openHub(await opened(proxy.port))]
  const live = await subscribeStream(b)
  proxy.cut()
  const ids = await publish(a, [1, 2])
  await manager.streams.purge(stream)
  await eventually(() => b.state).toBe('reconnecting')
  proxy.restore()
  await eventually(() => b.state).toBe('ready')
  expect(b._store.position).toBe(ids[1])
  const newcomer = await subscribeStream(b)
  await publish(a, [3])
  await eventually(() => newcomer.seen).toEqual([3])
  expect(live.seen).toEqual(['gap', 3])
})

test('a process that was cut off while nothing was published sends no gap', async () => {
  const proxy = await startCuttableProxy(broker.port)
  const [a, b] = [await openHub(await opened()), await openHub(await opened(proxy.port))]
  const live = await subscribeStream(b)
  await publish(a, [1])
  await eventually(() => live.seen).toEqual([1])
  proxy.cut()
  await eventually(() => b.state).toBe('reconnecting')
  proxy.restore()
  await eventually(() => b.state).toBe('ready')
  await publish(a, [2])
  await eventually(() => live.seen).toEqual([1, 2])
})

test('a client that reconnects during an outage gets cached events at once and others after it', async () => {
  const proxy = await startCuttableProxy(broker.port)
  const [a, b] = [await openHub(await opened()), await openHub(await opened(proxy.port), { recentEvents: 2 })]
  const live = await subscribeStream(b)
  const ids = await publish(a, numbers(1, 6))
  await eventually(() => live.seen.length).toBe(6)
  proxy.cut()
  await eventually(() => b.state).toBe('reconnecting')
  expect((await subscribeStream(b, ids[4])).seen).toEqual([6])
  const older = await subscribeStream(b, ids[1])
  expect(older.seen).toEqual([])
  proxy.restore()
  await eventually(() => older.seen).toEqual([3, 4, 5, 6])
})

test('a connection closed by its owner closes the store and rejects waiting publishes at once', async () => {
  const connection = await opened()
  const hub = await openHub(connection)
  const [first] = await publish(hub, [1])
  const startedAt = Date.now()
  await connection.close()
  await expect(hub.channel('a').publish({ data: 2 })).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
  expect(hub.state).toBe('closed')
  expect(hub._store.read(['a'], first as string, 10)).toBe('gap')
  await hub.shutdown({ grace: 0 })
  const next = new Hub({ store: jetstreamStore(connection, { streamName: stream }) })
  await expect(next.channel('a').publish({ data: 3 })).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
  expect(next.state).toBe('closed')
  expect(Date.now() - startedAt).toBeLessThan(10_000)
})

test('a client that resumes at a closed store gets one gap and stays connected', async () => {
  const connection = await opened()
  const hub = await openHub(connection)
  const [first] = await publish(hub, [1, 2])
  await connection.close()
  const { stream: client, transport } = fakeStream({ heartbeat: 0 }, first)
  let gaps = 0
  // Ends a test in which gaps are sent again and again.
  const onGap = () => void (++gaps === 10 && client.destroy())
  hub.subscribe(client, ['a'], { onGap })
  await settled()
  expect([gaps, client.closed]).toEqual([1, false])
  expect(transport.writes.join('')).toContain('event: gap')
  expect((await subscribeStream(hub)).seen).toEqual([])
})

test('a publish before the first connection rejects after publishTimeout', async () => {
  const proxy = await startCuttableProxy(broker.port)
  const connection = await opened(proxy.port)
  proxy.cut()
  const hub = new Hub({ store: jetstreamStore(connection, { streamName: stream, publishTimeout: 1_000 }) })
  onTestFinished(() => hub.shutdown({ grace: 0 }))
  const late = hub.channel('a').publish({ data: 'late' })
  await expect(late).rejects.toMatchObject({
    code: 'ERR_SSE_STORE',
    message: expect.stringMatching('in time'),
  })
  expect(hub.state).toBe('connecting')
  proxy.restore()
  await hub._store.ready
  expect(await publish(hub, [1])).toEqual([expect.stringMatching(/-1$/)])
})

test('a client is resumed after an outage that is longer than publishTimeout', async () => {
  const proxy = await startCuttableProxy(broker.port)
  const hub = await openHub(await opened(proxy.port), { recentEvents: 2, publishTimeout: 5_000 })
  const ids = await publish(await openHub(await opened()), numbers(1, 9))
  await eventually(() => hub._store.position).toBe(ids[8])
  proxy.cut()
  await eventually(() => hub.state).toBe('reconnecting')
  const client = await subscribeStream(hub, ids[0])
  const now = performance.now.bind(performance)
  vi.spyOn(performance, 'now').mockImplementation(() => now() + 60_000)
  onTestFinished(() => void vi.restoreAllMocks())
  proxy.restore()
  await eventually(() => client.seen).toEqual(numbers(2, 9))
})

test('a server that lost its newest messages causes a gap for live clients and no repeated event', async () => {
  const own = await startNats()
  const hub = await openHub(await opened(own.port))
  const live = await subscribeStream(hub)
  await publish(hub, numbers(1, 5))
  await own.stop('SIGTERM')
  const copy = `${own.folder}-copy`
  onTestFinished(() => rmSync(copy, { recursive: true }))
  cpSync(own.folder, copy, { recursive: true })
  await own.start()
  await publish(hub, numbers(6, 8))
  await eventually(() => live.seen).toEqual(numbers(1, 8))
  await own.stop('SIGTERM')
  await own.loseDisk()
  cpSync(copy, own.folder, { recursive: true })
  await own.start()
  await eventually(() => live.seen).toEqual([...numbers(1, 8), 'gap'])
  const newcomer = await subscribeStream(hub)
  await publish(hub, [9])
  await eventually(() => newcomer.seen).toEqual([9])
  expect(live.seen).toEqual([...numbers(1, 8), 'gap', 9])
})

test('a page without a response is requested again', async () => {
  let isLost = false
  const proxy = await startCuttableProxy(broker.port, (text) => {
    if (isLost || !text.includes('CONSUMER.MSG.NEXT')) return true
    isLost = true
    return false
  })
  const ids = await publish(await openHub(await opened()), numbers(1, 9))
  const client = await subscribeStream(await openHub(await opened(proxy.port), { recentEvents: 2 }), ids[2])
  await eventually(() => client.stream.closed || client.seen.length > 0).toBe(true)
  expect(isLost).toBe(true)
  expect(client.seen).toEqual(numbers(4, 9))
})

test.each(['CONSUMER.CREATE', 'CONSUMER.MSG.NEXT'])(
  'a stream deleted during a page, before %s, causes a gap',
  async (subject) => {
    let isArmed = false
    const proxy = await startCuttableProxy(broker.port, async (text) => {
      if (!isArmed || !text.includes(subject)) return
      isArmed = false
      await manager.streams.delete(stream)
    })
    const ids = await publish(await openHub(await opened()), numbers(1, 9))
    const hub = await openHub(await opened(proxy.port), { recentEvents: 2 })
    isArmed = true
    const client = await subscribeStream(hub, ids[2])
    await eventually(() => client.stream.closed || client.seen.length > 0).toBe(true)
    expect(client.seen).toEqual(['gap'])
  },
)

test('a stream that is recreated during a reconnect causes one gap, and has new ids', async () => {
  let isArmed = false
  const replace = async () => {
    const { config } = await manager.streams.info(stream)
    await manager.streams.delete(stream)
    await manager.streams.add(config)
    return publish(await openHub(await opened()), numbers(11, 14))
  }
  let ids: string[] = []
  const proxy = await startCuttableProxy(broker.port, async (text) => {
    if (!isArmed || !text.includes('CONSUMER.CREATE')) return
    isArmed = false
    ids = await replace()
  })
  const connection = await opened(proxy.port)
  const hub = await openHub(connection)
  const live = await subscribeStream(hub)
  await publish(hub, [1])
  isArmed = true
  await connection.reconnect()
  await eventually(() => live.seen.at(-1)).toBe(14)
  await eventually(() => hub.state).toBe('ready')
  expect(live.seen).toEqual([1, 'gap', ...numbers(11, 14)])
  expect(live.ids.slice(2)).toEqual(ids)
})

test('a shutdown during an outage does not wait for the broker', async () => {
  const hub = await openHub(await opened())
  await broker.stop()
  const waiting = hub.channel('a').publish({ data: 1 })
  waiting.catch(() => {})
  const startedAt = Date.now()
  await hub.shutdown({ grace: 0 })
  await expect(waiting).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
  expect(Date.now() - startedAt).toBeLessThan(10_000)
  await broker.start()
})

function opened(port = broker.port): Promise<NatsConnection> {
  return openConnection(port)
}

function openHub(connection: NatsConnection, options: JetStreamStoreOptions = {}): Promise<Hub> {
  // An outage lasts as long as a broker takes to start.
  return openHubOn(connection, { streamName: stream, publishTimeout: 30_000, ...options })
}
