import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { type RedisStoreOptions, redisStore } from '../../../src/stores/redis/index.ts'
import { startRedis } from '../../support/brokers.ts'
import { HubClient } from '../../support/hub-client.ts'
import {
  admin,
  broker,
  bytesSent,
  CLIENTS,
  commandsOf,
  connections,
  ioRedis,
  key,
  killConnections,
  nodeRedis,
  numbers,
  onlyAdminIsConnected,
  openHub,
  publish,
  reconnect,
  replayFromRedis,
  seen,
  skipsOf,
  statesOf,
  subscribeClient,
} from '../../support/redis-hub.ts'
import { fakeStream, settled } from '../../support/streams.ts'

describe('hubs on one key of Redis', () => {
  it('deliver the events of each process in one order, and resume the clients of each other', async () => {
    const [one, two] = [openHub(), openHub({}, ioRedis())]
    const [left, right] = await Promise.all([subscribeClient(one), subscribeClient(two)])
    for (let n = 0; n < 20; n++) await (n % 2 ? one : two).channel('a').publish({ data: n })
    expect(await seen(left, 20)).toEqual(numbers(0, 20))
    expect(await seen(right, 20)).toEqual(numbers(0, 20))
    await publish(one, 20, 25)
    const moved = new HubClient(two, ['a'])
    moved.lastEventId = left.lastEventId
    await subscribeClient(two, ['a'], moved)
    expect(await seen(moved, 5)).toEqual(numbers(20, 25))
  })

  it('pass name, data and key of an event to a filter', async () => {
    const [one, two] = [openHub(), openHub()]
    const events: unknown[] = []
    const { stream, transport } = fakeStream()
    two.subscribe(stream, ['a'], {
      filter: (event) => {
        events.push(event)
        return true
      },
    })
    await expect.poll(() => two.state).toBe('ready')
    const first = await one.channel('a').publish({ event: 'tick', key: 'k', data: { n: [1, 'é'] } })
    const second = await one.channel('a').publish({ data: '{"text":1}' })
    await expect
      .poll(() => events)
      .toEqual([
        { event: 'tick', key: 'k', data: { n: [1, 'é'] }, id: first },
        { data: '{"text":1}', id: second },
      ])
    await expect
      .poll(() => transport.writes.join(''))
      .toContain(`id: ${first}\nevent: tick\ndata: {"n":[1,"é"]}\n\n`)
  })

  it('deliver one event for an idempotency key of several processes', async () => {
    const [one, two] = [openHub(), openHub()]
    const client = await subscribeClient(one)
    const ids = await Promise.all(
      [one, two, one].map((hub) => hub.channel('a').publish({ data: 0 }, { idempotencyKey: 'order-7' })),
    )
    expect(new Set(ids).size).toBe(1)
    await publish(two, 1, 2)
    expect(await seen(client, 2)).toEqual(['0', '1'])
  })

  it('replay in pages from Redis, with one read for all clients at one position', async () => {
    const writer = openHub()
    const start = await writer.channel('a').publish({ data: 'start' })
    const ids = await Promise.all(
      numbers(0, 2_500).map((n) => writer.channel(Number(n) % 2 ? 'a' : 'b').publish({ data: n })),
    )
    // Both hubs have their own reads until then.
    await expect.poll(() => writer._store.position).toBe(ids.at(-1))
    const late = openHub({ recentEvents: 10 })
    await late._store.ready
    const before = await commandsOf('evalsha')
    const clients = Array.from({ length: 50 }, () => new HubClient(late, ['a']))
    for (const client of clients) {
      client.lastEventId = start
      client.connect()
    }
    for (const client of clients) {
      expect(await seen(client, 1_250)).toEqual(numbers(0, 2_500).filter((n) => Number(n) % 2))
    }
    expect((await commandsOf('evalsha')) - before).toBeLessThan(5)
  })

  it('load the newest events that fit into the cache, in pages', async () => {
    const data = 'x'.repeat(1_000)
    const writer = openHub()
    const publishes = Array.from({ length: 1_200 }, () => writer.channel('a').publish({ data }))
    const ids = await Promise.all(publishes)
    await expect.poll(() => writer._store.position).toBe(ids.at(-1))
    const begin = async (options: RedisStoreOptions) => {
      const before = await bytesSent()
      await subscribeClient(openHub(options))
      return (await bytesSent()) - before
    }
    expect(await begin({ recentBytes: 100_000 })).toBeLessThan(150_000)
    const all = await begin({ recentEvents: 1_100 })
    expect(all).toBeGreaterThan(1_100_000)
    expect(all).toBeLessThan(1_250_000)

    const hub = openHub({ recentEvents: 1_100 })
    await subscribeClient(hub)
    const before = await commandsOf('xrange')
    expect(await seen(reconnect(hub, ids[300] as string), 899)).toHaveLength(899)
    expect(await commandsOf('xrange')).toBe(before)
  })

  it('resume cached events without a command', async () => {
    const hub = openHub()
    const client = await subscribeClient(hub)
    await publish(hub, 0, 1)
    await seen(client, 1)
    await publish(hub, 1, 3)
    const clients = Array.from({ length: 100 }, () => new HubClient(hub, ['a']))
    const before = await commandsOf('xrange')
    for (const each of clients) {
      each.lastEventId = client.lastEventId
      each.connect()
    }
    for (const each of clients) expect(await seen(each, 2)).toEqual(['1', '2'])
    expect(await commandsOf('xrange')).toBe(before)
  })

  it('ask Redis once about a position that this process has not received', async () => {
    const hub = openHub()
    await subscribeClient(hub)
    const before = await commandsOf('xrange')
    const position = `${Date.now() + 100_000}-0`
    const clients = Array.from({ length: 50 }, () => reconnect(hub, position))
    for (const client of clients) expect(await seen(client, 1)).toEqual(['gap'])
    // Of the position, and of the first entry.
    expect((await commandsOf('xrange')) - before).toBe(2)
  })

  it('wait for an event that another process has delivered first', async () => {
    const [one, two] = [openHub(), openHub()]
    await Promise.all([subscribeClient(one), subscribeClient(two)])
    const id = await one.channel('a').publish({ data: 0 })
    const client = new HubClient(two, ['a'])
    client.lastEventId = id
    client.connect()
    await publish(one, 1, 2)
    expect(await seen(client, 1)).toEqual(['1'])
  })
})

describe('a gap', () => {
  it.each<[string, (id: string) => Promise<unknown>]>([
    ['trimmed', () => admin.xtrim(key, 'MAXLEN', 1)],
    ['deleted', () => admin.del(key)],
    [
      'flushed and written again',
      async () => {
        await admin.del(key)
        await admin.xadd(key, '*', 'c', 'a', 'e', '{"data":"of another log"}')
      },
    ],
  ])('is sent for a position that was %s', async (_how, lose) => {
    const writer = openHub()
    const start = await writer.channel('a').publish({ data: 'start' })
    await publish(writer, 0, 3)
    await lose(start)
    const client = new HubClient(openHub({ recentEvents: 1 }), ['a'])
    client.lastEventId = start
    client.connect()
    expect(await seen(client, 1)).toEqual(['gap'])
  })

  it('is not sent for a position that is still stored', async () => {
    const writer = openHub()
    await publish(writer, 0, 5)
    const position = await writer.channel('a').publish({ data: 'position' })
    await publish(writer, 5, 8)
    await admin.xtrim(key, 'MINID', position)
    const client = new HubClient(openHub({ recentEvents: 1 }), ['a'])
    client.lastEventId = position
    client.connect()
    expect(await seen(client, 3)).toEqual(['5', '6', '7'])
  })

  it.each([
    '9999999999999-0',
    '1-1',
    '0-0',
    '*',
    '$',
    '-',
    '+',
    '(1-1',
    '1',
    '01-1',
    `${'9'.repeat(30)}-1`,
    '18446744073709551615-1',
    '18446744073709551616-1',
    'x y',
    '\u0000',
  ])('is sent for the id %j', async (id) => {
    const hub = openHub()
    const reader = await subscribeClient(hub)
    await publish(hub, 0, 2)
    await seen(reader, 2)
    const client = new HubClient(hub, ['a'])
    client.lastEventId = id
    client.connect()
    expect(await seen(client, 1)).toEqual(['gap'])
  })
})

describe('a closed store', () => {
  it('sends one gap to a client that reconnects, and keeps it connected', async () => {
    const hub = openHub()
    const start = await hub.channel('a').publish({ data: 0 })
    const last = await hub.channel('a').publish({ data: 1 })
    await expect.poll(() => hub._store.position).toBe(last)
    await hub._store.close()
    const { stream, transport } = fakeStream({ heartbeat: 0 }, start)
    let gaps = 0
    // Ends a test in which gaps are sent again and again.
    hub.subscribe(stream, ['a'], { onGap: () => void (++gaps === 10 && stream.destroy()) })
    await settled()
    expect([gaps, stream.closed]).toEqual([1, false])
    expect(transport.writes.join('')).toContain('event: gap')
  })
})

describe('a reader that is slower than the trimming', () => {
  it('sends a gap for every lost event', async () => {
    const hub = openHub({ maxEvents: 100 })
    const client = await subscribeClient(hub)
    await Promise.all(numbers(0, 3_000).map((n) => hub.channel('a').publish({ data: Number(n) })))
    // In one transaction, so that no read can happen in between.
    const burst = admin.multi()
    for (const n of numbers(3_000, 3_300))
      burst.xadd(key, 'MAXLEN', 100, '*', 'c', 'a', 'e', JSON.stringify({ data: n }))
    await burst.exec()
    await publish(hub, 3_300, 3_301)
    await expect.poll(() => client.transport.writes.join('')).toContain('data: 3300\n')
    client.cut()
    const events = client.seen.map(({ event, data }) => (event === 'message' ? Number(data) : event))
    const lost = events.filter((data, i) => typeof data === 'number' && isAfterSilence(data, events[i - 1]))
    expect(lost).toEqual([])
    expect(events).toContain('gap')
  })

  const isAfterSilence = (data: number, before: string | number | undefined) =>
    typeof before === 'number' && data !== before + 1
})

describe('a stream that is deleted', () => {
  it.each([
    ['an idempotency key', { idempotencyKey: '1' }],
    ['no idempotency key', {}],
  ])('sends a gap for entries that were not read, before a publish with %s', async (_with, options) => {
    const hub = openHub()
    const client = await subscribeClient(hub)
    // In one transaction, so that no read can happen in between.
    await admin.multi().xadd(key, '*', 'c', 'a', 'e', '{"data":"lost"}').del(key).exec()
    await hub.channel('a').publish({ data: 'next' }, options)
    expect(await seen(client, 2)).toEqual(['gap', 'next'])
  })

  it('keeps the order of a burst, and begins with one no-op record', async () => {
    const hub = openHub()
    const client = await subscribeClient(hub)
    await admin.del(key)
    await Promise.all(numbers(0, 100).map((n) => hub.channel('a').publish({ data: n })))
    expect(await seen(client, 101)).toEqual(['gap', ...numbers(0, 100)])
    expect(await admin.xlen(key)).toBe(101)
  })
})

describe('an outage', () => {
  it.each(CLIENTS)('of the connections loses and doubles nothing, with %s', async (_name, client) => {
    // A read that is never answered would be given up after the timeout of this test only.
    const hub = openHub({ publishTimeout: 120_000 }, client())
    const states = statesOf(hub)
    const reader = await subscribeClient(hub)
    for (let n = 0; n < 60; n++) {
      if (n % 20 === 10) await killConnections()
      await hub.channel('a').publish({ data: n }, { idempotencyKey: String(n) })
    }
    expect(await seen(reader, 60)).toEqual(numbers(0, 60))
    expect(states).toContain('reconnecting')
    await expect.poll(() => hub.state).toBe('ready')
  })

  it('of Redis loses and repeats no event that is on disk', async () => {
    const own = await startRedis()
    const hub = openHub({ publishTimeout: 20_000 }, nodeRedis(own.port))
    const reader = await subscribeClient(hub)
    await publish(hub, 0, 5)
    await own.stop()
    await expect.poll(() => hub.state).toBe('reconnecting')
    const published = Promise.all(
      numbers(5, 10).map((n) => hub.channel('a').publish({ data: Number(n) }, { idempotencyKey: n })),
    )
    await own.start()
    await published
    expect(await seen(reader, 10)).toEqual(numbers(0, 10))
  })

  it('that loses entries sends a gap to live clients, and continues', async () => {
    const own = await startRedis()
    const hub = openHub({}, nodeRedis(own.port))
    const reader = await subscribeClient(hub)
    await publish(hub, 0, 3)
    await own.stop()
    await own.loseDisk()
    await own.start()
    await expect.poll(() => hub.state).toBe('ready')
    await expect.poll(() => reader.transport.writes.join('')).toContain('event: gap')
    await publish(hub, 3, 5)
    expect(await seen(reader, 6)).toEqual(['0', '1', '2', 'gap', '3', '4'])
  })

  it('rejects a publish within publishTimeout, and keeps clients connected', async () => {
    const own = await startRedis()
    const hub = openHub({ publishTimeout: 300 }, nodeRedis(own.port))
    const reader = await subscribeClient(hub)
    await own.stop()
    const failed = hub.channel('a').publish({ data: 1 })
    await expect(failed).rejects.toMatchObject({ name: 'SseError', code: 'ERR_SSE_STORE' })
    expect(reader.stream?.closed).toBe(false)
    reader.cut()
  })

  it('before the first connection rejects a publish within publishTimeout', async () => {
    const own = await startRedis()
    await own.stop()
    const hub = openHub({ publishTimeout: 100 }, nodeRedis(own.port))
    const failed = hub.channel('a').publish({ data: 1 })
    await expect(failed).rejects.toMatchObject({
      code: 'ERR_SSE_STORE',
      message: expect.stringMatching('in time'),
    })
    expect(hub.state).toBe('connecting')
  })
})

describe('a permanent error', () => {
  it('rejects the first publish: a key of another type', async () => {
    await admin.lpush(key, 'x')
    const hub = openHub()
    const failed = expect(hub.channel('a').publish({ data: 1 })).rejects
    await failed.toMatchObject({ code: 'ERR_SSE_STORE', message: expect.stringContaining('holds a list') })
    const { stream } = fakeStream()
    hub.subscribe(stream, ['a'])
    await expect.poll(() => stream.closeReason).toBe('error')
  })

  it('is emitted once by a hub that only subscribes: a key of another type', async () => {
    await admin.lpush(key, 'x')
    const hub = openHub()
    const emitted = vi.fn()
    hub.on('error', emitted)
    const streams = Array.from({ length: 20 }, () => fakeStream().stream)
    for (const stream of streams) hub.subscribe(stream, ['a'])
    await expect.poll(() => streams.every(({ closeReason }) => closeReason === 'error')).toBe(true)
    await settled()
    const error = { code: 'ERR_SSE_STORE', message: expect.stringContaining('holds a list') }
    const context = { channel: 'a', stream: streams[0] }
    expect(emitted.mock.calls).toEqual([[expect.objectContaining(error), context]])
  })

  it.each(CLIENTS)('rejects the first publish: wrong credentials, with %s', async (_name, client) => {
    const hub = openHub({}, client(broker.port, { username: 'user', password: 'wrong' }))
    await expect(hub.channel('a').publish({ data: 1 })).rejects.toMatchObject({
      code: 'ERR_SSE_STORE',
      message: expect.stringContaining('WRONGPASS'),
    })
  })

  it.each([
    ['no client', {}, {}],
    ['an unknown option', undefined, { keys: 'x' }],
    ['an empty key', undefined, { key: '' }],
    ['a limit of 0', undefined, { maxEvents: 0 }],
  ])('is thrown by redisStore: %s', (_what, client, options) => {
    expect(() => redisStore((client ?? nodeRedis()) as never, options as never)).toThrow(
      expect.objectContaining({ code: 'ERR_SSE_OPTION' }),
    )
  })

  it('is not an entry of another program, which is skipped and reported', async () => {
    const hub = openHub()
    const skipped = skipsOf(hub)
    const client = await subscribeClient(hub)
    await publish(hub, 0, 1)
    const strange = [
      await admin.xadd(key, '*', 'job', '17'),
      await admin.xadd(key, '*', 'c', 'a', 'e', 'no JSON'),
      await admin.xadd(key, '*', 'c', 'a', 'e', '{"data":7}'),
      await admin.xadd(key, '*', 'c', 'a', 'e', '{"event":"a\\nb","data":"x"}'),
    ]
    await publish(hub, 1, 2)
    expect(await seen(client, 2)).toEqual(['0', '1'])
    expect(skipped).toEqual(strange)
  })
})

describe('an entry of another program', () => {
  it('is a position that a client can resume at', async () => {
    const hub = openHub()
    await publish(hub, 0, 1)
    const position = String(await admin.xadd(key, '*', 'job', '17'))
    await expect.poll(() => hub._store.position).toBe(position)
    const client = reconnect(hub, position)
    await publish(hub, 1, 3)
    expect(await seen(client, 2)).toEqual(['1', '2'])
  })

  it('may have an id with 16 digits, after which clients resume', async () => {
    const hub = openHub()
    const client = await subscribeClient(hub)
    await admin.xadd(key, '1795904462379317-0', 'job', '17')
    await publish(hub, 0, 1)
    expect(await seen(client, 1)).toEqual(['0'])
    await publish(hub, 1, 3)
    expect(await seen(reconnect(openHub({ recentEvents: 1 }), client.lastEventId), 2)).toEqual(['1', '2'])
  })

  it('is not reported again when it is replayed', async () => {
    const writer = openHub()
    const start = await writer.channel('a').publish({ data: 'start' })
    await admin.xadd(key, '*', 'c', 'a', 'e', 'no JSON')
    await publish(writer, 0, 20)
    const hub = openHub({ recentEvents: 5 })
    await subscribeClient(hub)
    const skipped = skipsOf(hub)
    for (let client = 0; client < 3; client++) {
      expect(await seen(reconnect(hub, start), 20)).toEqual(numbers(0, 20))
    }
    expect(skipped).toEqual([])
  })

  it('is not reported if it is the no-op record of a store', async () => {
    await subscribeClient(openHub())
    const hub = openHub()
    const skipped = skipsOf(hub)
    await subscribeClient(hub)
    expect([skipped, await admin.xlen(key)]).toEqual([[], 1])
  })
})

describe('the settings of a client', () => {
  it.each([
    ['socketTimeout of redis', nodeRedis, { socket: { socketTimeout: 200 } }],
    ['commandTimeout of ioredis', ioRedis, { commandTimeout: 200 }],
    ['socketTimeout of ioredis', ioRedis, { socketTimeout: 200 }],
  ])('do not end a blocking read: %s', async (_name, client, options) => {
    const hub = openHub({}, client(broker.port, options))
    const states = statesOf(hub)
    await subscribeClient(hub)
    // Longer than the timeout.
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(states).toEqual(['ready'])
  })

  it.each([
    ['commandsQueueMaxLength', { commandsQueueMaxLength: 10 }],
    ['the timeout of commands', { commandOptions: { timeout: 20 } }],
  ])('do not reject a burst while Redis does not respond: %s of redis', async (_name, options) => {
    const own = await startRedis()
    const hub = openHub({}, nodeRedis(own.port, options))
    await publish(hub, 0, 1)
    process.kill(own.pid as number, 'SIGSTOP')
    // More than the buffers of a socket hold, so that commands wait in the client.
    const data = 'x'.repeat(100_000)
    const published = Promise.all(numbers(0, 100).map(() => hub.channel('a').publish({ data })))
    // Longer than the timeout.
    await new Promise((resolve) => setTimeout(resolve, 100))
    process.kill(own.pid as number, 'SIGCONT')
    expect(await published).toHaveLength(100)
  })

  it.each(CLIENTS)('include a prefix for all keys, with %s', async (_name, client) => {
    const hub = openHub({}, client(broker.port, { keyPrefix: 'app:' }))
    await subscribeClient(hub)
    await hub.channel('a').publish({ data: 0 }, { idempotencyKey: 'once' })
    expect((await admin.keys(`*${key}*`)).sort()).toEqual([`app:${key}`, `{app:${key}}:idempotency:a\nonce`])
    expect(await admin.xlen(`app:${key}`)).toBe(2)
  })
})

describe('the stream of a store', () => {
  it('is bounded in entries, approximately', async () => {
    const hub = openHub({ maxEvents: 100 })
    await Promise.all(numbers(0, 1_000).map((n) => hub.channel('a').publish({ data: n })))
    expect(await admin.xlen(key)).toBeLessThan(300)
  })

  it('is bounded in age', async () => {
    await admin.xadd(key, `${Date.now() - 60_000}-0`, 'c', 'a', 'e', '{"data":"old"}')
    const young = await admin.xadd(key, '*', 'c', 'a', 'e', '{"data":"young"}')
    openHub({ maxAge: 30_000 })
    await expect.poll(async () => (await admin.xrange(key, '-', '+')).map(([id]) => id)).toEqual([young])
  })

  it('is bounded in age by the clock of Redis, whatever that of the process', async () => {
    const trims = await commandsOf('xtrim')
    const ids = [await admin.xadd(key, '*', 'c', 'a', 'e', '{"data":1}')]
    ids.push(await admin.xadd(key, '*', 'c', 'a', 'e', '{"data":2}'))
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 36_000_000 })
    onTestFinished(() => void vi.useRealTimers())
    openHub({ maxAge: 600_000 })
    await expect.poll(() => commandsOf('xtrim')).toBeGreaterThan(trims)
    expect((await admin.xrange(key, '-', '+')).map(([id]) => id)).toEqual(ids)
  })

  it('keeps its newest entry at any age, because clients resume at it', async () => {
    const trims = await commandsOf('xtrim')
    const position = await admin.xadd(key, `${Date.now() - 60_000}-0`, 'c', 'a', 'e', '{"data":"old"}')
    const hub = openHub({ maxAge: 30_000 })
    await subscribeClient(hub)
    await expect.poll(() => commandsOf('xtrim')).toBeGreaterThan(trims)
    expect((await admin.xrange(key, '-', '+')).map(([id]) => id)).toEqual([position])
  })

  it('keeps for an interval the entry after which other processes still read', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const old = String(await admin.xadd(key, `${Date.now() - 600_000}-0`, 'c', 'a', 'e', '{"data":"old"}'))
    const hub = openHub({ maxAge: 300_000 })
    const client = await subscribeClient(hub)
    const trims = await commandsOf('xtrim')
    for (const [n, kept] of [1, 0].entries()) {
      vi.advanceTimersByTime(60_000)
      await publish(hub, n, n + 1)
      await expect.poll(() => commandsOf('xtrim')).toBe(trims + n + 1)
      expect(await admin.xrange(key, old, old)).toHaveLength(kept)
    }
    expect(await seen(client, 2)).toEqual(['0', '1'])
  })

  it('sends a gap if entries were too old before a frozen process read them', async () => {
    await admin.xadd(key, `${Date.now() - 60_000}-0`, 'c', 'a', 'e', '{"data":"old"}')
    const hub = openHub({ maxAge: 90_000 })
    const client = await subscribeClient(hub)
    const records = ['1', '2', '3'].map((data) => JSON.stringify({ data }))
    // In one step, so that the hub reads the last entry only.
    const step = admin.multi()
    for (const record of records) step.xadd(key, '*', 'c', 'a', 'e', record)
    await step.xtrim(key, 'MAXLEN', 1).exec()
    await publish(hub, 4, 5)
    expect(await seen(client, 2)).toEqual(['gap', '4'])
  })

  it('is not looked up for young entries', async () => {
    const hub = openHub({ maxAge: 600_000 })
    const client = await subscribeClient(hub)
    await publish(hub, 0, 1)
    const counts = () => Promise.all(['evalsha', 'eval', 'xrange'].map(commandsOf))
    const before = await counts()
    await publish(hub, 1, 9)
    expect(await seen(client, 9)).toEqual(numbers(0, 9))
    expect(await counts()).toEqual(before)
  })
})

describe('a hub', () => {
  it.each(CLIENTS)(
    'closes its own connections at shutdown and not the client, with %s',
    async (_name, open) => {
      await onlyAdminIsConnected()
      const client = open()
      await (client as unknown as { connect(): Promise<unknown> }).connect()
      const before = await connections()
      const hub = openHub({ recentEvents: 2 }, client)
      await subscribeClient(hub)
      expect(await connections()).toBe(before + 2)
      await replayFromRedis(hub)
      expect(await connections()).toBe(before + 3)
      await hub.shutdown({ grace: 0 })
      await expect.poll(connections).toBe(before)
      expect(await (client as unknown as { ping(): Promise<string> }).ping()).toBe('PONG')
      expect(hub.state).toBe('closed')
      ;(client as unknown as { disconnect(): void }).disconnect()
    },
  )

  it('writes once for each publish', async () => {
    const hub = openHub()
    const client = await subscribeClient(hub)
    const before = await commandsOf('xadd')
    await publish(hub, 0, 100)
    await seen(client, 100)
    expect((await commandsOf('xadd')) - before).toBe(100)
  })
})
