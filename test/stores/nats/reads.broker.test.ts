import { setImmediate as turn } from 'node:timers/promises'
import { type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { StoredRange } from '../../../src/stores/broker/driver.ts'
import { jetstreamStore, type NatsConnection } from '../../../src/stores/nats/index.ts'
import type { JetStreamDriver } from '../../../src/stores/nats/jetstream-driver.ts'
import { freePort } from '../../../support/broker.js'
import { type Broker, startNats } from '../../support/brokers.ts'
import { NEVER, openDriver, RequestCount } from '../../support/nats-driver.ts'
import {
  connectNats,
  eventually,
  numbers,
  openConnection,
  openHub,
  startCuttableProxy,
  subscribeStream,
} from '../../support/nats-hub.ts'

const PAGE = 256 * 1024

let broker: Broker
let monitoring: number
let connection: NatsConnection
let manager: JetStreamManager
let streams = 0
let stream = ''

beforeAll(async () => {
  monitoring = await freePort()
  broker = await startNats(`jetstream: {}\nhttp: "127.0.0.1:${monitoring}"`)
  connection = await connectNats(broker.port)
  manager = await jetstreamManager(connection)
  return async () => {
    await connection.close()
    await broker.end()
  }
})

beforeEach(() => {
  stream = `reads-${++streams}`
  return async () => {
    await manager.streams.delete(stream).catch(() => {})
  }
})

describe('a range', () => {
  test('of large events, read by 40 clients, does not make the server drop the connection', async () => {
    const own = await openConnection(broker.port)
    const { driver, at, newest, delivered } = await openDriver(own, { stream })
    await append(200, 'a', 50_000)
    await eventually(() => delivered.length).toBe(200)
    const dropped: string[] = []
    void (async () => {
      for await (const { type } of own.status()) if (type === 'disconnect') dropped.push(type)
    })()
    const upTo = at(200)
    const clients = numbers(0, 39).map(async (start) => {
      let after = at(start)
      for (let i = 0; i < 4; i++) after = (await range(driver, after, upTo)).end
      return after
    })
    const live = await driver.append('b', 'live')
    await eventually(() => delivered.at(-1)).toBe(live)
    const ends = await Promise.all(clients)
    expect(ends.every((end) => driver.compare(end, newest) > 0)).toBe(true)
    const response = await fetch(`http://127.0.0.1:${monitoring}/varz`)
    expect(await response.json()).toMatchObject({ slow_consumers: 0 })
    expect(dropped).toEqual([])
  })

  test('requests at most the bytes of its limit at a time', async () => {
    const own = await openConnection(broker.port)
    const pulls: Array<{ batch: number; max_bytes?: number }> = []
    const publish = own.publish.bind(own)
    own.publish = (subject, payload, options) => {
      if (subject.includes('CONSUMER.MSG.NEXT')) pulls.push(JSON.parse(String(payload)))
      publish(subject, payload, options)
    }
    const { driver, at } = await openDriver(own, { stream })
    await append(100, 'a', 10_000)
    pulls.length = 0
    const { entries, end } = await range(driver, at(0), at(100), PAGE)
    expect(pulls).toEqual([expect.objectContaining({ batch: 100, max_bytes: PAGE })])
    expect(entries.length).toBeGreaterThan(20)
    expect(entries.length).toBeLessThan(27)
    expect(end).toBe(entries.at(-1)?.id)
  })

  test('returns an event that is larger than its limit alone', async () => {
    const { driver, at } = await openDriver(connection, { stream })
    await append(2, 'a', 100)
    await append(1, 'a', 300_000)
    await append(2, 'a', 100)
    const pages = await allPages(driver, at(0), at(5), { bytes: 10_000 })
    expect(pages.map(({ entries }) => entries.map(({ id }) => id))).toEqual([
      [at(1), at(2)],
      [at(3)],
      [at(4), at(5)],
    ])
    expect(pages.at(-1)?.end).toBe(at(5))
  })

  test('ends at upTo only if it is complete', async () => {
    const { driver, at } = await openDriver(connection, { stream })
    await append(9, 'a', 10)
    expect(await range(driver, at(1), at(6), PAGE, 2)).toMatchObject({ entries: { length: 2 }, end: at(3) })
    const whole = await range(driver, at(1), at(6))
    expect(whole.entries.map(({ id }) => id)).toEqual(numbers(2, 6).map(at))
    expect(whole.end).toBe(at(6))
    expect(await range(driver, at(6), at(6))).toEqual({ entries: [], end: at(6) })
    await manager.streams.deleteMessage(stream, 8)
    await manager.streams.deleteMessage(stream, 9)
    expect(await range(driver, at(7), at(9))).toEqual({ entries: [], end: at(9) })
  })

  test('reads consecutive pages with one consumer and one look-up', async () => {
    const { driver, at, requests } = await openCounted()
    await append(100, 'a', 1_000)
    requests.reset()
    const pages = await allPages(driver, at(0), at(100), { entries: 10 })
    expect(pages.map(({ entries }) => entries.length)).toEqual(Array(10).fill(10))
    expect(requests.of('CONSUMER.CREATE')).toBe(1)
    expect(requests.of('CONSUMER.MSG.NEXT')).toBe(10)
    expect(requests.of('STREAM.INFO')).toBeLessThanOrEqual(2)
    await eventually(consumers).toBe(1)
  })

  test('continues with a new consumer if the server has removed the one of the page before', async () => {
    const { driver, at } = await openDriver(connection, { stream })
    await append(20, 'a', 10)
    const first = await range(driver, at(0), at(20), PAGE, 5)
    for await (const { name, config } of manager.consumers.list(stream)) {
      if (!config.deliver_subject) await manager.consumers.delete(stream, name)
    }
    const second = await range(driver, first.end, at(20))
    expect(second.entries.map(({ id }) => id)).toEqual(numbers(6, 20).map(at))
  })

  test('is a gap without a consumer if the log does not have the position', async () => {
    const { driver, at, requests } = await openCounted({ maxEvents: 10 })
    await append(30, 'a', 10)
    requests.reset()
    expect(await driver.range(at(31), limits(at(35)), NEVER)).toBe('gap')
    expect(await driver.range(at(19), limits(at(30)), NEVER)).toBe('gap')
    expect(requests.of('CONSUMER.CREATE')).toBe(0)
    requests.reset()
    expect([19, 20].map((sequence) => driver.isEvicted(at(sequence)))).toEqual([true, false])
    for (const sequence of numbers(0, 19)) {
      expect(await driver.range(at(sequence), limits(at(30)), NEVER)).toBe('gap')
      expect(await driver.has(at(sequence), NEVER)).toBe(false)
    }
    expect(requests.all).toEqual({})
    expect((await range(driver, at(20), at(30))).entries).toHaveLength(10)
  })

  test.each(['range', 'channelRange'] as const)(
    'is a gap if events are removed during the read: %s',
    async (method) => {
      let isArmed = false
      const { driver, at } = await openCounted({}, async (text) => {
        if (!isArmed || !text.includes('CONSUMER.MSG.NEXT')) return
        isArmed = false
        await manager.streams.purge(stream, { seq: 6 })
      })
      await append(9, 'a', 10)
      isArmed = true
      const read = (after: string) =>
        method === 'range'
          ? driver.range(after, limits(at(9)), NEVER)
          : driver.channelRange('a', after, limits(at(9)), NEVER)
      expect(await read(at(2))).toBe('gap')
      expect(await read(at(5))).toMatchObject({ entries: { length: 4 }, end: at(9) })
    },
  )

  test('is a gap if the stream is recreated before the consumer is created', async () => {
    let isArmed = false
    const { driver, at } = await openCounted({}, async (text) => {
      if (!isArmed || !text.includes('CONSUMER.CREATE')) return
      isArmed = false
      const { config } = await manager.streams.info(stream)
      await manager.streams.delete(stream)
      await manager.streams.add(config)
      await append(9, 'a', 10)
    })
    await append(9, 'a', 10)
    isArmed = true
    expect(await driver.range(at(2), limits(at(9)), NEVER)).toBe('gap')
    expect(isArmed).toBe(false)
  })
})

describe('the range of a channel', () => {
  test('costs only the events of the channel', async () => {
    const own = await openConnection(broker.port)
    const { driver, at, delivered } = await openDriver(own, { stream })
    await append(1, 'quiet', 100)
    await append(3_000, 'busy', 1_000)
    await append(1, 'quiet', 100)
    await eventually(() => delivered.at(-1)).toBe(at(3_002))
    const before = own.stats().inBytes
    const found = (await driver.channelRange('quiet', at(0), limits(at(3_001)), NEVER)) as StoredRange
    expect(found.entries).toMatchObject([{ id: at(1), channel: 'quiet' }])
    expect(found.end).toBe(at(3_001))
    expect(own.stats().inBytes - before).toBeLessThan(10_000)
  })

  test('ends at the last event if a limit is reached, and continues there', async () => {
    const { driver, at, requests } = await openCounted()
    for (let i = 0; i < 10; i++) {
      await append(1, 'a', 10)
      await append(1, 'b', 10)
    }
    requests.reset()
    const ends: string[] = []
    const ids: string[] = []
    for (let after = at(0); after !== at(15); after = ends.at(-1) as string) {
      const page = (await driver.channelRange(
        'b',
        after,
        { upTo: at(15), entries: 3, bytes: PAGE },
        NEVER,
      )) as StoredRange
      ends.push(page.end)
      ids.push(...page.entries.map(({ id }) => id))
    }
    expect(ids).toEqual([2, 4, 6, 8, 10, 12, 14].map(at))
    expect(ends).toEqual([6, 12, 15].map(at))
    expect(requests.of('CONSUMER.CREATE')).toBe(1)
  })

  test('does not contain a channel whose name has wildcards', async () => {
    const { driver, at } = await openDriver(connection, { stream })
    for (const channel of ['*', 'a', '>']) await driver.append(channel, 'x')
    for (const [channel, sequence] of [['*', 1] as const, ['>', 3] as const]) {
      const found = (await driver.channelRange(channel, at(0), limits(at(3)), NEVER)) as StoredRange
      expect(found.entries.map(({ id }) => id)).toEqual([at(sequence)])
    }
  })
})

describe('the distance of two positions', () => {
  test('is the number of events between them', async () => {
    const { driver, at } = await openDriver(connection, { stream })
    expect(driver.distance(at(3), at(10))).toBe(7)
    expect(driver.distance(at(3), at(3))).toBe(0)
    expect(driver.distance('abc-3', at(10))).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('a position', () => {
  test('is looked up without a consumer', async () => {
    const { driver, at, requests } = await openCounted({ maxEvents: 5 })
    await append(9, 'a', 10)
    requests.reset()
    const found = await Promise.all([3, 4, 9, 10].map((sequence) => driver.has(at(sequence), NEVER)))
    expect(found).toEqual([false, true, true, false])
    expect(Object.keys(requests.all)).toEqual(['STREAM.INFO'])
  })
})

describe('the history before a position', () => {
  const historyOf = (
    driver: JetStreamDriver,
    position: string,
    names: string[],
    last: number,
    most = 10_000,
  ) => driver.historyBefore(position, new Set(names), last, most, NEVER)

  test('is found without reading events', async () => {
    const own = await openConnection(broker.port)
    const { driver, at, delivered } = await openDriver(own, { stream })
    await append(3, 'a', 10_000)
    await append(30, 'b', 50_000)
    await append(3, 'a', 10_000)
    await eventually(() => delivered.at(-1)).toBe(at(36))
    const { inBytes } = own.stats()
    expect(await historyOf(driver, at(36), ['a'], 4)).toEqual({ after: at(2), isIncomplete: false })
    expect(await historyOf(driver, at(36), ['a', 'b'], 4)).toEqual({ after: at(32), isIncomplete: false })
    expect(await historyOf(driver, at(35), ['a', 'b'], 4)).toEqual({ after: at(31), isIncomplete: false })
    expect(own.stats().inBytes - inBytes).toBeLessThan(40_000)
  })

  test('is searched further than one page, also among many other events', async () => {
    const { driver, at } = await openDriver(connection, { stream })
    await append(2, 'a', 10)
    await append(5_000, 'b', 10)
    expect(await historyOf(driver, at(5_002), ['a'], 1)).toEqual({ after: at(1), isIncomplete: false })
    expect(await historyOf(driver, at(5_002), ['a', 'c'], 1)).toEqual({ after: at(1), isIncomplete: false })
    expect(await historyOf(driver, at(5_002), ['b'], 4_000)).toEqual({
      after: at(1_002),
      isIncomplete: false,
    })
  })

  test('is incomplete if events were evicted, or the search is limited', async () => {
    const { driver, at } = await openDriver(connection, { stream })
    await append(20, 'a', 10)
    await append(20, 'b', 10)
    expect(await historyOf(driver, at(40), ['a'], 30)).toEqual({ after: at(0), isIncomplete: false })
    expect(await historyOf(driver, at(40), ['a', 'b'], 30, 30)).toEqual({
      after: at(10),
      isIncomplete: false,
    })
    expect(await historyOf(driver, at(40), ['a', 'c'], 15, 30)).toEqual({ after: at(10), isIncomplete: true })
    await manager.streams.purge(stream, { seq: 11 })
    expect(await historyOf(driver, at(40), ['a'], 30)).toEqual({ after: at(10), isIncomplete: true })
    expect(await historyOf(driver, at(40), ['a'], 10)).toEqual({ after: at(10), isIncomplete: false })
    const all = Number.POSITIVE_INFINITY
    expect(await historyOf(driver, at(40), ['a'], all)).toEqual({ after: at(10), isIncomplete: true })
    expect(await historyOf(driver, 'abc-9', ['a'], 9)).toEqual({ after: 'abc-9', isIncomplete: true })
  })
})

describe('the initial load', () => {
  test.each([
    ['of large events', 0],
    ['of large events after many small ones', 3_000],
  ])('reads about as many bytes as it may: %s', async (_, small) => {
    await openDriver(connection, { stream })
    await append(small, 'a', 10)
    await append(60, 'a', 100_000)
    const own = await openConnection(broker.port)
    const before = own.stats().inBytes
    const { delivered, at, newest } = await openDriver(own, { stream, entries: 1_000, bytes: 1_000_000 })
    expect(newest).toBe(at(small + 60))
    expect(delivered.at(-1)).toBe(newest)
    expect(delivered.length).toBeGreaterThanOrEqual(9)
    expect(delivered.length).toBeLessThanOrEqual(10)
    expect(own.stats().inBytes - before).toBeLessThan(1_500_000)
  })

  test('has the newest event, however large it is', async () => {
    await openDriver(connection, { stream })
    await append(3, 'a', 5_000)
    const { delivered, at } = await openDriver(connection, { stream, entries: 10, bytes: 1_000 })
    expect(delivered).toEqual([at(3)])
  })
})

describe('an aborted read', () => {
  test('rejects with the reason, and sends nothing after an outage', async () => {
    const { driver, at, requests, proxy, states } = await openCounted()
    await append(20, 'a', 10)
    proxy.cut()
    await eventually(() => states.at(-1)).toBe('reconnecting')
    const aborts = numbers(0, 49).map(() => new AbortController())
    const reads = aborts.map(({ signal }, i) =>
      [
        () => driver.range(at(i % 5), limits(at(20)), signal),
        () => driver.channelRange('a', at(i % 5), limits(at(20)), signal),
        () => driver.has(at(3), signal),
        () => driver.oldest(signal),
        () => driver.historyBefore(at(20), new Set(['a']), 5, 100, signal),
      ][i % 5]?.(),
    )
    const reason = new Error('The client is gone.')
    const results = Promise.allSettled(reads)
    for (const each of aborts) each.abort(reason)
    for (const result of await results) expect(result).toEqual({ status: 'rejected', reason })
    requests.reset()
    proxy.restore()
    await eventually(() => states.at(-1)).toBe('ready')
    // Only what continues the live events.
    expect(requests.of('CONSUMER.MSG.NEXT')).toBe(0)
    expect(requests.of('CONSUMER.CREATE')).toBe(1)
    await expect(driver.has(at(3), AbortSignal.abort(reason))).rejects.toBe(reason)
  })

  test.each(['STREAM.INFO', 'CONSUMER.CREATE', 'CONSUMER.MSG.NEXT'])(
    'during %s leaves no consumer and no subscription',
    async (kind) => {
      let abort: AbortController | undefined
      const { driver, at, own } = await openCounted({}, async (text) => {
        if (text.includes(kind)) abort?.abort('gone')
        await turn()
      })
      const { protocol } = own as unknown as { protocol: { subscriptions: { size(): number } } }
      await append(20, 'a', 10)
      await driver.has(at(1), NEVER)
      const before = protocol.subscriptions.size()
      abort = new AbortController()
      await expect(driver.channelRange('a', at(1), limits(at(20)), abort.signal)).rejects.toBe('gone')
      abort = undefined
      await own.flush()
      await eventually(consumers).toBe(1)
      expect(protocol.subscriptions.size()).toBe(before)
    },
  )
})

describe('the consumers of reads', () => {
  test('are removed when the store is closed, except those of other processes', async () => {
    const { driver, at } = await openDriver(connection, { stream })
    const other = await openDriver(connection, { stream })
    await append(100, 'a', 10)
    const reads = numbers(0, 30).flatMap((sequence) => [
      driver.range(at(sequence), { upTo: at(90), entries: 10, bytes: PAGE }, NEVER),
      driver.channelRange('a', at(sequence), { upTo: at(90), entries: 10, bytes: PAGE }, NEVER),
      driver.historyBefore(at(100 - sequence), new Set(['a']), 3, 100, NEVER),
    ])
    await Promise.all(reads)
    const unfinished = driver.range(at(50), limits(at(90)), NEVER)
    unfinished.catch(() => {})
    await driver.close()
    await expect(unfinished).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
    await eventually(consumers).toBe(1)
    await other.driver.close()
    await eventually(consumers).toBe(0)
  })

  test('are few, whatever the number of pages that are not continued', async () => {
    const { driver, at } = await openDriver(connection, { stream })
    await append(200, 'a', 10)
    for (const sequence of numbers(0, 99)) await range(driver, at(sequence), at(200), PAGE, 3)
    expect(await state().then(({ consumer_count }) => consumer_count)).toBeLessThan(40)
    await eventually(consumers).toBe(1)
  })
})

describe('a user', () => {
  /** Opens a driver as a user with the documented permissions, except for those to requests of a kind. */
  async function openAs(denied?: string) {
    const kinds = ['STREAM.INFO', 'STREAM.CREATE', 'CONSUMER.CREATE', 'CONSUMER.DELETE', 'CONSUMER.MSG.NEXT']
    const requests = kinds.filter((kind) => kind !== denied).map((kind) => `"$JS.API.${kind}.${stream}.>"`)
    const names = ['STREAM.INFO', 'STREAM.CREATE'].map((kind) => `"$JS.API.${kind}.${stream}"`)
    const publish = [`"${stream}.*"`, '"$JS.FC.>"', ...requests, ...names].join()
    const guarded = await startNats(`jetstream: {}
      authorization: { users: [
        { user: u, password: p, permissions: { publish: [${publish}], subscribe: "_INBOX.>" } }
      ] }`)
    const own = await connect({ port: guarded.port, user: 'u', pass: 'p' })
    onTestFinished(() => own.close())
    const opened = await openDriver(own, { stream, entries: 10 })
    for (let i = 0; i < 9; i++) await opened.driver.append('a', 'x'.repeat(100))
    return opened
  }

  test('with the documented permissions can read all ranges', async () => {
    const { driver, at } = await openAs()
    expect((await range(driver, at(2), at(8), PAGE, 3)).end).toBe(at(5))
    expect((await range(driver, at(5), at(8))).end).toBe(at(8))
    expect(await driver.channelRange('a', at(3), limits(at(9)), NEVER)).toMatchObject({ end: at(9) })
    const history = await driver.historyBefore(at(9), new Set(['a']), 3, 100, NEVER)
    expect(history).toEqual({ after: at(6), isIncomplete: false })
  })

  test.each(['CONSUMER.CREATE', 'CONSUMER.MSG.NEXT'])(
    'without the permission for %s gets an error instead of a range',
    async (denied) => {
      const opened = openAs(denied)
      const read = opened.then(({ driver, at }) => driver.range(at(2), limits(at(8)), NEVER))
      await expect(read).rejects.toMatchObject({
        code: 'ERR_SSE_STORE',
        message: expect.stringContaining('Permissions Violation'),
      })
    },
  )
})

describe('a connection for replays', () => {
  test('carries the replays, and its outage neither stops live events nor changes the state', async () => {
    const proxy = await startCuttableProxy(broker.port)
    const replayConnection = await openConnection(proxy.port)
    const own = await openConnection(broker.port)
    const hub = await openHub(own, { streamName: stream, recentEvents: 2, replayConnection })
    const ids: string[] = []
    for (const data of numbers(1, 20)) ids.push(await hub.channel('a').publish({ data }))
    await eventually(() => hub._store.position).toBe(ids[19])
    const { inMsgs } = replayConnection.stats()
    const client = await subscribeStream(hub, ids[9])
    await eventually(() => client.seen).toEqual(numbers(11, 20))
    expect(replayConnection.stats().inMsgs - inMsgs).toBeGreaterThanOrEqual(8)
    proxy.cut()
    // Older than what is kept of the replay before.
    const waiting = await subscribeStream(hub, ids[1])
    await hub.channel('a').publish({ data: 21 })
    await eventually(() => client.seen.at(-1)).toBe(21)
    expect([hub.state, waiting.seen]).toEqual(['ready', []])
    proxy.restore()
    await eventually(() => waiting.seen).toEqual(numbers(3, 21))
  })

  test('must be a connection', () => {
    const create = () => jetstreamStore(connection, { replayConnection: {} as NatsConnection })
    expect(create).toThrow(expect.objectContaining({ code: 'ERR_SSE_OPTION' }))
    expect(create).toThrow('replayConnection')
  })
})

/** Opens a driver on a connection of its own, whose requests are counted. */
async function openCounted(
  options: { maxEvents?: number } = {},
  intercept: (text: string) => Promise<void> = async () => {},
) {
  const requests = new RequestCount()
  const proxy = await startCuttableProxy(broker.port, (text) => {
    requests.count(text)
    return intercept(text)
  })
  const own = await openConnection(proxy.port)
  return { ...(await openDriver(own, { stream, ...options })), requests, proxy, own }
}

/** Appends records of a size. */
async function append(count: number, channel: string, size: number): Promise<void> {
  const publisher = jetstream(connection)
  const record = 'x'.repeat(size)
  for (let left = count; left > 0; left -= 500) {
    const batch = Array.from({ length: Math.min(500, left) }, () =>
      publisher.publish(`${stream}.${channel}`, record),
    )
    await Promise.all(batch)
  }
}

function limits(upTo: string, bytes = PAGE, entries = 1_000) {
  return { upTo, entries, bytes }
}

/** Reads a range that must not be a gap. */
async function range(driver: JetStreamDriver, after: string, upTo: string, bytes = PAGE, entries = 1_000) {
  const found = await driver.range(after, { upTo, entries, bytes }, NEVER)
  if (found === 'gap') throw new Error(`There is a gap after ${after}.`)
  return found
}

async function allPages(
  driver: JetStreamDriver,
  start: string,
  upTo: string,
  { bytes = PAGE, entries = 1_000 },
): Promise<StoredRange[]> {
  const pages: StoredRange[] = []
  for (let after = start; after !== upTo; after = pages.at(-1)?.end as string) {
    pages.push(await range(driver, after, upTo, bytes, entries))
  }
  return pages
}

async function state() {
  return (await manager.streams.info(stream)).state
}

async function consumers(): Promise<number> {
  return (await state()).consumer_count
}
