import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { Hub } from '../src/hub.ts'
import { type RedisClient, type RedisLogOptions, redisLog, redisPubSubLog } from '../src/redis.ts'
import { type Broker, startRedis } from './support/brokers.ts'
import { HubClient } from './support/hub-client.ts'
import { fakeStream, settled } from './support/streams.ts'

let broker: Broker
let admin: Redis
let key: string
let keys = 0

beforeAll(async () => {
  broker = await startRedis()
  return () => broker.end()
})

beforeEach(async () => {
  key = `key-${++keys}`
  admin = new Redis({ port: broker.port })
  onTestFinished(() => void admin.disconnect())
})

/** A hub as a process has it: with a client and a log of its own. */
function openHub(options: RedisLogOptions = {}, client: RedisClient = nodeRedis()) {
  const log = redisLog(client, { key, ...options })
  const hub = new Hub({ log })
  onTestFinished(() => void log.close())
  return hub
}

const nodeRedis = (url = `redis://127.0.0.1:${broker.port}`) => createClient({ url }).on('error', () => {})
const ioRedis = () => new Redis({ port: broker.port, lazyConnect: true })

/** A client that follows channels of a hub; resolves when it is live. */
async function follow(hub: Hub, channels = ['a'], client = new HubClient(hub, channels)) {
  client.connect()
  const { stream } = client
  // A first event would be held back no longer once it is live.
  await expect.poll(() => hub.state).toBe('ready')
  await new Promise((resolve) => setImmediate(resolve))
  expect(stream?.closed).toBe(false)
  return client
}

/** All that a client has seen, once it has seen so much; it leaves. */
async function seen(client: HubClient, events: number): Promise<string[]> {
  await expect
    .poll(() => client.data.length + (client.transport.writes.join('').match(/\ndata: /g)?.length ?? 0), {
      timeout: 10_000,
    })
    .toBeGreaterThanOrEqual(events)
  client.cut()
  return client.seen.map(({ event, data }) => (event === 'message' ? data : event))
}

async function publish(hub: Hub, from: number, to: number, channel = 'a') {
  for (let n = from; n < to; n++) await hub.channel(channel).publish({ data: n })
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => String(from + i))

describe('hubs on one key of Redis', () => {
  it('tell what each of them publishes, in one order, and resume from each other', async () => {
    const [one, two] = [openHub(), openHub({}, ioRedis())]
    const [left, right] = await Promise.all([follow(one), follow(two)])
    for (let n = 0; n < 20; n++) await (n % 2 ? one : two).channel('a').publish({ data: n })
    expect(await seen(left, 20)).toEqual(numbers(0, 20))
    expect(await seen(right, 20)).toEqual(numbers(0, 20))
    await publish(one, 20, 25)
    const moved = new HubClient(two, ['a'])
    moved.lastEventId = left.lastEventId
    await follow(two, ['a'], moved)
    expect(await seen(moved, 5)).toEqual(numbers(20, 25))
  })

  it('see the events as they were published: name, data, key', async () => {
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

  it('deliver what one idempotency key published once, whoever published it', async () => {
    const [one, two] = [openHub(), openHub()]
    const client = await follow(one)
    const ids = await Promise.all(
      [one, two, one].map((hub) => hub.channel('a').publish({ data: 0 }, { idempotencyKey: 'order-7' })),
    )
    expect(new Set(ids).size).toBe(1)
    await publish(two, 1, 2)
    expect(await seen(client, 2)).toEqual(['0', '1'])
  })

  it('replay from Redis what no process has in memory, in pages, one read for all who stopped at the same place', async () => {
    const writer = openHub()
    const start = await writer.channel('a').publish({ data: 'start' })
    await Promise.all(
      numbers(0, 2_500).map((n) => writer.channel(Number(n) % 2 ? 'a' : 'b').publish({ data: n })),
    )
    const late = openHub({ recentEvents: 10 })
    const before = await commandsOf('xrange')
    const clients = Array.from({ length: 50 }, () => new HubClient(late, ['a']))
    for (const client of clients) {
      client.lastEventId = start
      client.connect()
    }
    for (const client of clients) {
      expect(await seen(client, 1_250)).toEqual(numbers(0, 2_500).filter((n) => Number(n) % 2))
    }
    expect((await commandsOf('xrange')) - before).toBeLessThan(10)
  })

  it('resume what is in memory without a command', async () => {
    const hub = openHub()
    const client = await follow(hub)
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

  it('wait for an event that another process has told first', async () => {
    const [one, two] = [openHub(), openHub()]
    await Promise.all([follow(one), follow(two)])
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
      'flushed and written anew',
      async () => {
        await admin.del(key)
        await admin.xadd(key, '*', 'c', 'a', 'e', '{"data":"of another log"}')
      },
    ],
  ])('is told for a place that was %s', async (_how, lose) => {
    const writer = openHub()
    const start = await writer.channel('a').publish({ data: 'start' })
    await publish(writer, 0, 3)
    await lose(start)
    const client = new HubClient(openHub({ recentEvents: 1 }), ['a'])
    client.lastEventId = start
    client.connect()
    expect(await seen(client, 1)).toEqual(['gap'])
  })

  it('is told to nobody whose place is still there', async () => {
    const writer = openHub()
    await publish(writer, 0, 5)
    const place = await writer.channel('a').publish({ data: 'place' })
    await publish(writer, 5, 8)
    await admin.xtrim(key, 'MINID', place)
    const client = new HubClient(openHub({ recentEvents: 1 }), ['a'])
    client.lastEventId = place
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
    'x y',
    '\u0000',
  ])('is what the id %j means, and no such id reaches a command but a place of the past', async (id) => {
    const hub = openHub()
    const reader = await follow(hub)
    await publish(hub, 0, 2)
    await seen(reader, 2)
    const client = new HubClient(hub, ['a'])
    client.lastEventId = id
    client.connect()
    expect(await seen(client, 1)).toEqual(['gap'])
  })
})

describe('a log that is closed', () => {
  it('is one gap for a client that comes back, which stays connected', async () => {
    const hub = openHub()
    const [start] = [await hub.channel('a').publish({ data: 0 }), await hub.channel('a').publish({ data: 1 })]
    await hub._log.close()
    const { stream, transport } = fakeStream({ heartbeat: 0 }, start)
    let gaps = 0
    // So that it ends, if it is told again and again.
    hub.subscribe(stream, ['a'], { onGap: () => void (++gaps === 10 && stream.destroy()) })
    await settled()
    expect([gaps, stream.closed]).toEqual([1, false])
    expect(transport.writes.join('')).toContain('event: gap')
  })
})

describe('an outage', () => {
  it.each([
    ['redis', nodeRedis],
    ['ioredis', ioRedis],
  ])(
    'of the connections loses and doubles nothing, with %s',
    async (_name, client) => {
      const hub = openHub({}, client())
      const states: string[] = []
      const watch = (message: unknown) => states.push((message as { state: string }).state)
      subscribe('spillway:log:state', watch)
      onTestFinished(() => void unsubscribe('spillway:log:state', watch))
      const reader = await follow(hub)
      for (let n = 0; n < 60; n++) {
        if (n % 20 === 10) await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
        await hub.channel('a').publish({ data: n }, { idempotencyKey: String(n) })
      }
      expect(await seen(reader, 60)).toEqual(numbers(0, 60))
      expect(states).toContain('reconnecting')
      expect(hub.state).toBe('ready')
      // Before a read that nobody answers any more would be given up.
    },
    8_000,
  )

  it('of Redis itself loses and doubles nothing, with what it keeps on disk', async () => {
    const own = await startRedis()
    const hub = openHub({ publishTimeout: 20_000 }, nodeRedis(`redis://127.0.0.1:${own.port}`))
    const reader = await follow(hub)
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

  it('that loses entries is a gap for those who follow, and then goes on', async () => {
    const own = await startRedis()
    const hub = openHub({}, nodeRedis(`redis://127.0.0.1:${own.port}`))
    const reader = await follow(hub)
    await publish(hub, 0, 3)
    await own.stop()
    await own.loseDisk()
    await own.start()
    await expect.poll(() => hub.state, { timeout: 10_000 }).toBe('ready')
    await expect.poll(() => reader.transport.writes.join(''), { timeout: 10_000 }).toContain('event: gap')
    await publish(hub, 3, 5)
    expect(await seen(reader, 6)).toEqual(['0', '1', '2', 'gap', '3', '4'])
  })

  it('is told to a publisher within its bound of time, and a client stays connected', async () => {
    const own = await startRedis()
    const hub = openHub({ publishTimeout: 300 }, nodeRedis(`redis://127.0.0.1:${own.port}`))
    const reader = await follow(hub)
    await own.stop()
    const failed = hub.channel('a').publish({ data: 1 })
    await expect(failed).rejects.toMatchObject({ name: 'SseError', code: 'ERR_SSE_LOG' })
    expect(reader.stream?.closed).toBe(false)
    reader.cut()
  })

  it('from the beginning on is told to a publisher within its bound of time too', async () => {
    const own = await startRedis()
    await own.stop()
    const hub = openHub({ publishTimeout: 100 }, nodeRedis(`redis://127.0.0.1:${own.port}`))
    const failed = hub.channel('a').publish({ data: 1 })
    await expect(failed).rejects.toMatchObject({
      code: 'ERR_SSE_LOG',
      message: expect.stringMatching('in time'),
    })
    expect(hub.state).toBe('connecting')
  })
})

describe('what cannot work', () => {
  it('is said at the first use: a key that holds something else', async () => {
    await admin.lpush(key, 'x')
    const hub = openHub()
    const failed = expect(hub.channel('a').publish({ data: 1 })).rejects
    await failed.toMatchObject({ code: 'ERR_SSE_LOG', message: expect.stringContaining('holds a list') })
    const { stream } = fakeStream()
    hub.subscribe(stream, ['a'])
    await expect.poll(() => stream.closeReason).toBe('error')
  })

  it.each([
    ['redis', () => nodeRedis(`redis://user:wrong@127.0.0.1:${broker.port}`)],
    [
      'ioredis',
      () => {
        const options = { port: broker.port, username: 'user', password: 'wrong', lazyConnect: true }
        return new Redis(options).on('error', () => {})
      },
    ],
  ])('is said at the first use: wrong credentials, with %s', async (_name, client) => {
    const hub = openHub({}, client())
    await expect(hub.channel('a').publish({ data: 1 })).rejects.toMatchObject({
      code: 'ERR_SSE_LOG',
      message: expect.stringContaining('WRONGPASS'),
    })
  })

  it.each([
    ['no client', {}, {}],
    ['an option that there is not', undefined, { keys: 'x' }],
    ['an empty key', undefined, { key: '' }],
    ['a bound that is none', undefined, { maxEntries: 0 }],
  ])('is refused at once: %s', (_what, client, options) => {
    expect(() => redisLog((client ?? nodeRedis()) as never, options as never)).toThrow(
      expect.objectContaining({ code: 'ERR_SSE_OPTION' }),
    )
  })

  it('is passed over, counted and not fatal: what another program wrote into the key', async () => {
    const skipped: unknown[] = []
    const watch = (message: unknown) => skipped.push((message as { id: string }).id)
    subscribe('spillway:log:skip', watch)
    onTestFinished(() => void unsubscribe('spillway:log:skip', watch))
    const hub = openHub()
    const client = await follow(hub)
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

describe('what it keeps', () => {
  it('is bounded in entries, about', async () => {
    const hub = openHub({ maxEntries: 100 })
    await Promise.all(numbers(0, 1_000).map((n) => hub.channel('a').publish({ data: n })))
    expect(await admin.xlen(key)).toBeLessThan(300)
  })

  it('is bounded in age', async () => {
    await admin.xadd(key, `${Date.now() - 60_000}-0`, 'c', 'a', 'e', '{"data":"old"}')
    const young = await admin.xadd(key, '*', 'c', 'a', 'e', '{"data":"young"}')
    openHub({ maxAge: 30_000 })
    await expect.poll(async () => (await admin.xrange(key, '-', '+')).map(([id]) => id)).toEqual([young])
  })
})

describe.each([
  ['redis', () => nodeRedis()],
  ['ioredis', ioRedis],
])('Pub/Sub with a client of %s', (_name, client) => {
  function openPubSub() {
    const log = redisPubSubLog(client(), { channel: key })
    const hub = new Hub({ log })
    onTestFinished(() => void log.close())
    return hub
  }

  it('tells every process what each of them publishes, with what filters see', async () => {
    const [one, two] = [openPubSub(), openPubSub()]
    const [left, right] = await Promise.all([follow(one), follow(two)])
    for (let n = 0; n < 10; n++) await (n % 2 ? one : two).channel('a').publish({ data: { n } })
    const expected = numbers(0, 10).map((n) => `{"n":${n}}`)
    expect(await seen(left, 10)).toEqual(expected)
    expect(await seen(right, 10)).toEqual(expected)
  })

  it('resumes in the process that a client left, and is a gap in another one', async () => {
    const [one, two] = [openPubSub(), openPubSub()]
    const client = await follow(one)
    await Promise.all([follow(two), publish(one, 0, 1)])
    await seen(client, 1)
    await publish(one, 1, 3)
    const moved = new HubClient(two, ['a'])
    moved.lastEventId = client.lastEventId
    client.connect()
    expect(await seen(client, 3)).toEqual(['0', '1', '2'])
    await follow(two, ['a'], moved)
    expect(await seen(moved, 1)).toEqual(['gap'])
  })

  it('tells a gap when its connection was lost, and goes on', async () => {
    const hub = openPubSub()
    const client = await follow(hub)
    await publish(hub, 0, 1)
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await expect.poll(() => client.transport.writes.join('')).toContain('event: gap')
    await publish(hub, 1, 2)
    expect(await seen(client, 3)).toEqual(['0', 'gap', '1'])
  })

  it('passes over what another program publishes', async () => {
    const hub = openPubSub()
    const client = await follow(hub)
    for (const text of ['no JSON', '{}', '{"channel":"a","record":"{}","token":"1"}'])
      await admin.publish(key, text)
    await publish(hub, 0, 1)
    expect(await seen(client, 1)).toEqual(['0'])
  })
})

describe('its end', () => {
  it.each([
    ['redis', nodeRedis],
    ['ioredis', ioRedis],
  ])('leaves no connection of ours behind, and the client as it was, with %s', async (_name, open) => {
    const client = open()
    await (client as unknown as { connect(): Promise<unknown> }).connect()
    const before = await connections()
    const hub = openHub({}, client)
    await follow(hub)
    expect(await connections()).toBe(before + 2)
    await hub.shutdown({ graceMs: 0 })
    await expect.poll(connections).toBe(before)
    expect(await (client as unknown as { ping(): Promise<string> }).ping()).toBe('PONG')
    expect(hub.state).toBe('closed')
    ;(client as unknown as { disconnect(): void }).disconnect()
  })

  it('costs one write for each publish, and one read for each batch', async () => {
    const hub = openHub()
    const client = await follow(hub)
    const before = await commandsOf('xadd')
    await publish(hub, 0, 100)
    await seen(client, 100)
    expect((await commandsOf('xadd')) - before).toBe(100)
  })
})

async function connections(): Promise<number> {
  return String(await admin.call('CLIENT', 'LIST', 'TYPE', 'normal'))
    .trim()
    .split('\n').length
}

async function commandsOf(command: string): Promise<number> {
  const info = String(await admin.info('commandstats'))
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0)
}
