import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type JetStreamManager, jetstream, jetstreamManager, type StreamConfig } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import fc from 'fast-check'
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { Hub } from '../../../src/hub/hub.ts'
import type { EventStore, Page } from '../../../src/stores/event-store.ts'
import {
  type JetStreamStoreOptions,
  jetstreamStore,
  type NatsConnection,
} from '../../../src/stores/nats/index.ts'
import { type Broker, startNats } from '../../support/brokers.ts'
import { eventually, numbers, publish, subscribeStream } from '../../support/nats-hub.ts'
import { logContract } from '../contract.ts'

let broker: Broker
let connection: NatsConnection
let manager: JetStreamManager
let streams = 0
let stream = ''

beforeAll(async () => {
  broker = await startNats()
  connection = await connect({ port: broker.port, maxReconnectAttempts: -1, reconnectTimeWait: 20 })
  manager = await jetstreamManager(connection)
  return async () => {
    await connection.close()
    await broker.end()
  }
})

beforeEach(() => {
  stream = `log-${++streams}`
})

logContract('JetStream', () => jetstreamStore(connection, { streamName: stream }), {
  sharesPositions: true,
  openAnother: () => jetstreamStore(connection, { streamName: stream }),
})

describe('several processes', () => {
  test('receive the same events in the same order', async () => {
    const [a, b] = [await openHub(), await openHub()]
    const [atA, atB] = [
      await subscribeStream(a, undefined, ['x', 'y']),
      await subscribeStream(b, undefined, ['x', 'y']),
    ]
    const published = Array.from({ length: 40 }, (_, i) =>
      (i % 3 ? a : b).channel(i % 2 ? 'x' : 'y').publish({ data: i }),
    )
    await Promise.all(published)
    await eventually(() => [atA.seen.length, atB.seen.length]).toEqual([40, 40])
    expect(atB.seen).toEqual(atA.seen)
    expect(atA.seen.filter((data) => Number(data) % 3 === 0)).toEqual(numbers(0, 13).map((i) => 3 * i))
  })

  test('resume a client of another process, from the cache and from the broker', async () => {
    const ids = await publish(await openHub(), numbers(0, 29))
    for (const recentEvents of [100, 3]) {
      const hub = await openHub({ recentEvents })
      const client = await subscribeStream(hub, ids[9])
      await eventually(() => client.seen).toEqual(numbers(10, 29))
    }
  })

  test('resume in pages of the broker, with events of other channels in between', async () => {
    const first = await openHub()
    const [start] = await publish(first, [0])
    for (let i = 0; i < 3; i++) {
      await Promise.all([publish(first, numbers(1, 499), 'other'), publish(first, [i], 'a')])
    }
    const client = await subscribeStream(await openHub({ recentEvents: 10 }), start)
    await eventually(() => client.seen).toEqual([0, 1, 2])
  })

  test('load the newest recentEvents events, and no more', async () => {
    const ids = await publish(await openHub(), numbers(1, 20))
    const log = await openLog({ recentEvents: 5 })
    expect(await log.read(['a'], ids[15] as string, 10)).toMatchObject({ entries: { length: 4 } })
    expect(log.read(['a'], ids[15] as string, 10)).not.toBeInstanceOf(Promise)
    const older = log.read(['a'], ids[13] as string, 10)
    expect(older).toBeInstanceOf(Promise)
    await older
    expect(log.position).toBe(ids[19])
  })
})

describe('a page of the broker', () => {
  test('ends early if it is large, and the next one begins there', async () => {
    const ids = await publish(await openHub({ storage: 'memory' }), Array(14).fill('x'.repeat(900_000)))
    const hub = await openHub({ recentEvents: 1 })
    const read: string[] = []
    for (let after = ids[0] as string; after !== ids[13]; after = read.at(-1) as string) {
      const { entries, upTo } = (await hub._store.read(['a'], after, 100)) as Exclude<Page, 'gap'>
      // A busy broker may send fewer entries than fit into a page.
      expect(entries.length).toBeLessThanOrEqual(10)
      expect(upTo).toBe(entries.at(-1)?.id)
      read.push(...entries.map(({ id }) => id))
    }
    expect(read).toEqual(ids.slice(1))
  })
})

describe('a channel', () => {
  test('has any name', async () => {
    const names = ['a.b', '>', 'ü ☃', '=0041', 'A', '\ufffd', '\u{1f600}', '\t', '$JS', 'x'.repeat(255)]
    const hub = await openHub()
    const clients = await Promise.all(names.map((name) => subscribeStream(hub, undefined, [name])))
    for (const [i, name] of names.entries()) await publish(hub, [i], name)
    for (const [i, client] of clients.entries()) await eventually(() => client.seen).toEqual([i])
  })
})

describe('a gap', () => {
  test('is sent only if events after the position were evicted', async () => {
    const ids = await publish(await openHub({ maxEvents: 5 }), numbers(1, 10))
    const hub = await openHub({ recentEvents: 1 })
    const [kept, evicted] = [await subscribeStream(hub, ids[4]), await subscribeStream(hub, ids[3])]
    await eventually(() => kept.seen).toEqual([6, 7, 8, 9, 10])
    await eventually(() => evicted.seen).toEqual(['gap'])
  })

  test('is sent if the stream was purged, unless nothing was missed', async () => {
    const first = await openHub()
    const ids = await publish(first, [1, 2, 3])
    const live = await subscribeStream(first)
    await manager.streams.purge(stream)
    const hub = await openHub()
    const older = await subscribeStream(hub, ids[1])
    await eventually(() => older.seen).toEqual(['gap'])
    const newest = await subscribeStream(hub, ids[2])
    await publish(hub, [4])
    await eventually(() => newest.seen).toEqual([4])
    await eventually(() => live.seen).toEqual([4])
  })

  test('is sent to a client of a stream that was deleted or recreated', async () => {
    const hub = await openHub()
    const [first, second] = await publish(hub, [1, 2])
    const live = await subscribeStream(hub)
    await manager.streams.delete(stream)
    const id = await hub.channel('a').publish({ data: 3 })
    expect(id.split('-')).not.toContain(first?.split('-')[0])
    await eventually(() => live.seen).toEqual(['gap', 3])
    const other = await openHub()
    for (const client of [await subscribeStream(hub, second), await subscribeStream(other, first)]) {
      await eventually(() => client.seen).toEqual(['gap'])
    }
    const resumed = await subscribeStream(other, id)
    await publish(hub, [4])
    await eventually(() => resumed.seen).toEqual([4])
  })

  test('is sent if another program recreates the stream, whose ids are new', async () => {
    const hub = await openHub()
    const [first] = await publish(hub, [1, 2, 3])
    const live = await subscribeStream(hub)
    const quiet = await openHub()
    const atQuiet = await subscribeStream(quiet)
    const { config } = await manager.streams.info(stream)
    await manager.streams.delete(stream)
    await manager.streams.add(config)
    const [id] = await publish(hub, [4])
    expect(id?.split('-')[0]).not.toBe(first?.split('-')[0])
    await eventually(() => live.seen).toEqual(['gap', 4])
    expect((await openLog()).position).toBe(id)
    // The server does not report the deletion. The consumer notices that the heartbeat is missing.
    await eventually(() => atQuiet.seen).toEqual(['gap', 4])
  })

  test('is sent for a position in a stream that was just recreated', async () => {
    const log = await openLog({ recentEvents: 1 })
    const { config } = await manager.streams.info(stream)
    const ids = await publish(await openHub(), [1, 2, 3])
    await eventually(() => log.position).toBe(ids[2])
    await manager.streams.delete(stream)
    await manager.streams.add(config)
    for (let i = 0; i < 5; i++) await jetstream(connection).publish(`${stream}.a`, '{"data":"1"}')
    expect(await log.read(['a'], ids[0] as string, 10)).toBe('gap')
  })

  test('is sent if undelivered events are purged', async () => {
    const hub = await openHub()
    await publish(hub, [1])
    const live = await subscribeStream(hub)
    const other = await connect({ port: broker.port })
    onTestFinished(() => other.close())
    await Promise.all([connection.reconnect(), publish(await openHub({}, other), [2, 3])])
    await (await jetstreamManager(other)).streams.purge(stream)
    const isComplete = (seen: unknown[]) => seen.includes('gap') || seen.join() === '2,3'
    await eventually(() => live.seen).toSatisfy(isComplete)
  })
})

describe('messages that an operator deletes', () => {
  test('are skipped without a wait', async () => {
    // The second one keeps no page that was read for a client of the first one, and has the last message in its cache.
    const [hub, next] = [await openHub({ recentEvents: 2 }), await openHub({ recentEvents: 2 })]
    const ids = await publish(hub, numbers(1, 9))
    for (const each of [hub, next]) await eventually(() => each._store.position).toBe(ids[8])
    for (const sequence of [3, 4]) await manager.streams.deleteMessage(stream, sequence)
    const some = await subscribeStream(hub, ids[0])
    await eventually(() => some.seen).toEqual([2, 5, 6, 7, 8, 9])
    for (const sequence of [2, 5, 6, 7, 9]) await manager.streams.deleteMessage(stream, sequence)
    const client = await subscribeStream(next, ids[4])
    await eventually(() => client.seen).toEqual([8, 9])
    const log = await openLog()
    await publish(hub, [10])
    await eventually(() => client.seen).toEqual([8, 9, 10])
    await eventually(() => log.position).toMatch(/-10$/)
  })
})

describe('a last event id', () => {
  test('that is not a position of this stream is a gap at once, without a request to the broker', async () => {
    const hub = await openHub({ recentEvents: 1 })
    const [first = ''] = await publish(hub, [1, 2, 3])
    const log = hub._store
    const [epoch = ''] = first.split('-')
    const like = fc.tuple(
      fc.oneof(fc.constant(epoch), fc.string()),
      fc.constantFrom('-', '', '.', '--'),
      fc.oneof(fc.string(), fc.bigInt().map(String), fc.double().map(String)),
    )
    const text = fc.oneof(
      fc.array(fc.nat(0xffff)).map((units) => String.fromCharCode(...units)),
      like.map((parts) => parts.join('')),
    )
    const before = connection.stats().outMsgs
    fc.assert(
      fc.property(text, (id) => {
        fc.pre(!(id.startsWith(`${epoch}-`) && /^(0|[1-9]\d{0,15})$/.test(id.slice(epoch.length + 1))))
        expect(log.read(['a'], id, 10)).toBe('gap')
      }),
      { numRuns: 500 },
    )
    expect(connection.stats().outMsgs).toBe(before)
  })
})

describe('a message of another program', () => {
  test('is skipped and reported', async () => {
    const hub = await openHub()
    const live = await subscribeStream(hub, undefined, ['a', 'b'])
    const skipped: unknown[] = []
    const count = (message: unknown) => skipped.push((message as { channel: string }).channel)
    subscribe('spillway:store:skip', count)
    onTestFinished(() => void unsubscribe('spillway:store:skip', count))
    const foreign = jetstream(connection)
    await publish(hub, [1])
    await foreign.publish(`${stream}.a`, 'no record')
    await foreign.publish(`${stream}.a`, new Uint8Array([0xff, 0xfe]))
    await foreign.publish(`${stream}.b`, '{"data":1}')
    await foreign.publish(`${stream}.=`, '{"data":"1"}')
    await foreign.publish(`${stream}.=0062`, '{"data":"1"}')
    await publish(hub, [2])
    await eventually(() => live.seen).toEqual([1, 2])
    expect(skipped).toEqual(['a', 'a', 'b'])
  })

  test('changes nothing if it is the newest message at the start', async () => {
    const [first] = await publish(await openHub(), [1, 2])
    await jetstream(connection).publish(`${stream}.a`, 'no record')
    const hub = await openHub()
    const fresh = await subscribeStream(hub)
    const resumed = await subscribeStream(hub, first)
    await publish(hub, [3])
    await eventually(() => resumed.seen).toEqual([2, 3])
    expect(fresh.seen).toEqual([3])
  })
})

describe('an existing stream', () => {
  const wrong: Array<[what: string, config: Partial<StreamConfig>, options?: JetStreamStoreOptions]> = [
    ['subjects is ["other.*"], not', { subjects: ['other.*'] }],
    ['retention is "workqueue", not "limits"', { retention: 'workqueue' }],
    ['discard is "new", not "old"', { discard: 'new' }],
    ['max_msgs_per_subject is 3, not -1', { max_msgs_per_subject: 3 }],
    ['max_consumers is 9, not -1', { max_consumers: 9 }],
    ['no_ack is true, not false', { no_ack: true }],
    ['max_msgs is 9, not 10', { max_msgs: 9 }, { maxEvents: 10 }],
    ['max_bytes is -1, not 1000', {}, { maxBytes: 1000 }],
    ['max_age is 0, not 60000000000', {}, { maxAge: 60_000 }],
    ['duplicate_window is 60000000000, not', { duplicate_window: 60e9 }, { idempotencyWindow: 30_000 }],
    ['duplicate_window is shorter than publishTimeout', { duplicate_window: 1e9 }],
    ['storage is "memory", not "file"', { storage: 'memory' }, { storage: 'file' }],
  ]

  test.each(wrong)('must match: %s', async (mismatch, config, options) => {
    await manager.streams.add({ name: stream, subjects: [`${stream}.*`], ...config })
    onTestFinished(async () => void (await manager.streams.delete(stream)))
    const hub = new Hub({ store: jetstreamStore(connection, { streamName: stream, ...options }) })
    onTestFinished(() => hub.shutdown())
    const error = await hub
      .channel('a')
      .publish({ data: 1 })
      .catch((reason) => reason)
    expect(error).toMatchObject({ code: 'ERR_SSE_STORE' })
    expect(error.message).toContain(mismatch)
    expect(error.message).toContain(stream)
  })

  test('keeps the settings that no option changes', async () => {
    const config = { max_msgs: 9, max_age: 3600e9, duplicate_window: 60e9, storage: 'memory' } as const
    await manager.streams.add({ name: stream, subjects: ['elsewhere.deep.*'], ...config })
    const hub = await openHub({ subjectPrefix: 'elsewhere.deep' })
    await publish(hub, [1])
    expect((await manager.streams.info(stream)).config).toMatchObject(config)
  })

  test('is created by one of several processes that start together, and checked by the others', async () => {
    const options = [{ maxAge: 60_000 }, {}, { maxAge: 30_000 }, {}]
    const hubs = options.map(
      (each) => new Hub({ store: jetstreamStore(connection, { streamName: stream, ...each }) }),
    )
    const results = await Promise.all(hubs.map((hub) => hub._store.ready?.then(() => 'matches', String)))
    await Promise.all(hubs.map((hub) => hub.shutdown()))
    expect([results[1], results[3]]).toEqual(['matches', 'matches'])
    expect(results.filter((result) => result?.includes('does not match')).length).toBeGreaterThan(0)
  })

  test('is created with the options', async () => {
    await openHub({ maxEvents: 7, maxBytes: 10_000, maxAge: 60_000, storage: 'memory' })
    const { config } = await manager.streams.info(stream)
    expect(config).toMatchObject({ max_msgs: 7, max_bytes: 10_000, max_age: 60e9, storage: 'memory' })
    expect(config).toMatchObject({ duplicate_window: 60e9, retention: 'limits', discard: 'old' })
  })
})

describe('a broker that cannot be used', () => {
  let guarded: Broker
  let bare: Broker

  beforeAll(async () => {
    guarded = await startNats(`
      jetstream: {}
      accounts: {
        with: { jetstream: enabled, users: [{ user: reader, password: p, permissions: { publish: other } }] }
        without: { users: [{ user: nobody, password: p }] }
      }`)
    bare = await startNats('')
    return () => Promise.all([guarded.end(), bare.end()])
  })

  test.each([
    [
      'an account without JetStream',
      () => ({ port: guarded.port, user: 'nobody', pass: 'p' }),
      'not enabled',
    ],
    [
      'a user without rights',
      () => ({ port: guarded.port, user: 'reader', pass: 'p' }),
      'Permissions Violation',
    ],
    ['a server without JetStream', () => ({ port: bare.port }), 'not enabled'],
  ])('rejects the first publish: %s', async (_, options, message) => {
    const limited = await connect(options())
    onTestFinished(() => limited.close())
    const hub = new Hub({ store: jetstreamStore(limited) })
    onTestFinished(() => hub.shutdown())
    const error = await hub
      .channel('a')
      .publish({ data: 1 })
      .catch((reason) => reason)
    expect(error).toMatchObject({ code: 'ERR_SSE_STORE', cause: expect.any(Error) })
    expect(error.message).toContain(message)
  })

  test('rejects an event that is too large, and accepts the next one', async () => {
    const hub = await openHub()
    const large = hub.channel('a').publish({ data: 'x'.repeat(2 * 1024 * 1024) })
    await expect(large).rejects.toMatchObject({ code: 'ERR_SSE_STORE', cause: expect.any(Error) })
    await publish(hub, [1])
  })
})

test('an account without a free consumer delays the start of a hub, and replays', async () => {
  const limit = 'jetstream: { max_mem: 64M, max_file: 64M, max_streams: 9, max_consumers: 2 }'
  const limited = await startNats(`
    jetstream: {}
    accounts: { own: { ${limit}, users: [{ user: u, password: p }] } }`)
  const own = await connect({ port: limited.port, user: 'u', pass: 'p' })
  onTestFinished(() => own.close())
  const open = (publishTimeout: number) =>
    new Hub({ store: jetstreamStore(own, { publishTimeout, recentEvents: 1 }) })
  const hubs = [open(30_000), open(30_000), open(200)] as const
  onTestFinished(async () => void (await Promise.all(hubs.map((hub) => hub.shutdown({ grace: 0 })))))
  const ids: string[] = []
  for (const hub of [hubs[0], hubs[1], hubs[0]]) ids.push(await hub.channel('a').publish({ data: 1 }))
  await expect(hubs[2].channel('a').publish({ data: 1 })).rejects.toMatchObject({
    code: 'ERR_SSE_STORE',
    cause: { message: 'maximum consumers limit reached' },
  })
  const replay = hubs[0]._store.read(['a'], ids[0] as string, 9)
  await hubs[1].shutdown({ grace: 0 })
  await expect.poll(() => hubs[2].state).toBe('ready')
  await hubs[2].shutdown({ grace: 0 })
  expect(await replay).toMatchObject({ entries: [{ id: ids[1] }] })
})

describe('an idempotency key', () => {
  test('has any characters and length, and counts in all processes', async () => {
    const [a, b] = [await openHub(), await openHub()]
    for (const idempotencyKey of ['', 'two\r\nlines', '\ufffd', 'x'.repeat(10_000)]) {
      const id = await a.channel('a').publish({ data: 1 }, { idempotencyKey })
      expect(await b.channel('a').publish({ data: 2 }, { idempotencyKey })).toBe(id)
    }
    expect((await manager.streams.info(stream)).state.messages).toBe(4)
  })

  test('counts per channel', async () => {
    const hub = await openHub()
    const ids = await Promise.all(
      ['a', 'A', '\ufffd'].map((name) => hub.channel(name).publish({ data: 1 }, { idempotencyKey: 'k' })),
    )
    expect(new Set(ids).size).toBe(3)
  })
})

describe('shutdown', () => {
  test('removes what the store created, and leaves the connection open', async () => {
    const { protocol } = connection as unknown as { protocol: Protocol }
    const before = [protocol.listeners.length, protocol.subscriptions.size()]
    const hub = await openHub({ recentEvents: 2 })
    const [first] = await publish(hub, numbers(1, 9))
    const client = await subscribeStream(hub, first)
    await eventually(() => client.seen).toEqual(numbers(2, 9))
    expect(await consumers()).toBe(1)
    await hub.shutdown({ grace: 0 })
    expect(await consumers()).toBe(0)
    expect([protocol.listeners.length, protocol.subscriptions.size()]).toEqual(before)
    expect(connection.isClosed()).toBe(false)
    expect(hub.state).toBe('closed')
    await connection.flush()
  })
})

describe('options', () => {
  test.each<[message: string, create: () => unknown]>([
    ['a connection', () => jetstreamStore({} as NatsConnection)],
    ['Option streamName must be a name of 1 to 255', () => jetstreamStore(connection, { streamName: 'a.b' })],
    ['Option subjectPrefix', () => jetstreamStore(connection, { subjectPrefix: 'a.*' })],
    ['Option subjectPrefix', () => jetstreamStore(connection, { subjectPrefix: '$JS' })],
    ['at most 255', () => jetstreamStore(connection, { subjectPrefix: 'a'.repeat(256) })],
    ['Option storage', () => jetstreamStore(connection, { storage: 'disk' as 'file' })],
    [
      'at most idempotencyWindow',
      () => jetstreamStore(connection, { publishTimeout: 2_000, idempotencyWindow: 1_000 }),
    ],
    ['at most idempotencyWindow', () => jetstreamStore(connection, { publishTimeout: 2_000, maxAge: 1_000 })],
    ['"maxEntries"', () => jetstreamStore(connection, { maxEntries: 1 } as JetStreamStoreOptions)],
  ])('are checked: %s', (message, create) => {
    expect(create).toThrow(expect.objectContaining({ code: 'ERR_SSE_OPTION' }))
    expect(create).toThrow(message)
  })
})

interface Protocol {
  readonly listeners: readonly unknown[]
  readonly subscriptions: { size(): number }
}

async function openLog(options: JetStreamStoreOptions = {}): Promise<EventStore> {
  return (await openHub(options))._store
}

async function openHub(options: JetStreamStoreOptions = {}, on = connection): Promise<Hub> {
  const hub = new Hub({
    store: jetstreamStore(on, { streamName: stream, publishTimeout: 30_000, ...options }),
  })
  onTestFinished(() => hub.shutdown({ grace: 0 }))
  await hub._store.ready
  return hub
}

async function consumers(): Promise<number> {
  return (await manager.streams.info(stream)).state.consumer_count
}
