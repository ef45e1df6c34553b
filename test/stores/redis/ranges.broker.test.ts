import type { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { DriverOwner, RecentLimits, StoredEntry } from '../../../src/stores/broker/driver.ts'
import type { StoreState } from '../../../src/stores/event-store.ts'
import type { RedisClient } from '../../../src/stores/redis/index.ts'
import { PlainReads } from '../../../src/stores/redis/plain-reads.ts'
import type { Ask } from '../../../src/stores/redis/stream-reads.ts'
import { StreamsDriver } from '../../../src/stores/redis/streams-driver.ts'
import { pageOf } from '../../docs/pages.ts'
import { startRedis } from '../../support/brokers.ts'
import { startProxy } from '../../support/proxy.ts'
import {
  admin,
  adminOf,
  broker,
  bytesSent,
  CLIENTS,
  commandsOf,
  connectionsWith,
  key,
  killConnections,
  nodeRedis,
  numbers,
  openHub,
  replayFromRedis,
  subscribeClient,
} from '../../support/redis-hub.ts'

const KB = 1_000
const LARGE = 400 * KB
const never = new AbortController().signal
const EVERYTHING = { entries: 1_000, bytes: 1_000 * KB }

class Owner implements DriverOwner {
  readonly batches: Array<readonly StoredEntry[]> = []
  readonly losses: string[] = []
  readonly states: StoreState[] = []
  _onEntries(entries: readonly StoredEntry[]) {
    this.batches.push(entries)
  }
  _onLoss(position: string) {
    this.losses.push(position)
  }
  _onState(state: StoreState) {
    if (state !== this.states.at(-1)) this.states.push(state)
  }
}

interface Options {
  readonly publishTimeout?: number
  readonly recent?: RecentLimits
}

/** Opens a driver. The newest entry is all that it loads by default. */
async function openDriver(client = nodeRedis(), { publishTimeout = 30_000, recent }: Options = {}) {
  const settings = { key, maxEvents: 100_000, maxAge: 0, publishTimeout, idempotencyWindow: 600_000 }
  const driver = new StreamsDriver(client, settings)
  onTestFinished(() => driver.close())
  const owner = new Owner()
  const position = await driver.open(owner, recent ?? { entries: 1, bytes: 1 })
  return { driver, owner, position }
}

/** Appends entries whose record has a size. Resolves with their ids. */
async function add(count: number, size = 100, { to = admin, channel = 'a' } = {}): Promise<string[]> {
  const ids: string[] = []
  for (let i = 0; i < count; i++)
    ids.push((await to.xadd(key, '*', 'c', channel, 'e', 'x'.repeat(size))) as string)
  return ids
}

async function addAtOnce(count: number, size: number): Promise<void> {
  const transaction = admin.multi()
  for (let i = 0; i < count; i++) transaction.xadd(key, '*', 'c', 'a', 'e', 'x'.repeat(size))
  await transaction.exec()
}

/** A user who may run every command but scripts. */
async function withoutScripts(client: (port?: number, options?: object) => RedisClient) {
  await admin.call('ACL', 'SETUSER', 'plain', 'on', '>secret', '~*', '&*', '+@all', '-@scripting')
  return client(broker.port, { username: 'plain', password: 'secret' })
}

const MODES: Array<[name: string, client: () => RedisClient | Promise<RedisClient>]> = CLIENTS.flatMap(
  ([name, client]) => [
    [name, () => client()],
    [`${name} and a user without scripts`, () => withoutScripts(client)],
  ],
)

it('a range without scripts is a gap if its position is removed between two of its commands', async () => {
  const ids = await add(10)
  const [after = '', upTo = ''] = [ids[0], ids[9]]
  const commands: string[] = []
  const ask: Ask = async (...command) => {
    const reply = await admin.call(...(command as [string]))
    commands.push(command.join(' '))
    // The first command looks for the position, and the second reads one entry. Later entries are removed too.
    if (commands.length === 2) await admin.xtrim(key, 'MINID', ids[5] as string)
    return reply
  }
  expect(await new PlainReads(key).range(ask, after, upTo, EVERYTHING)).toEqual({ first: undefined })
  expect(commands[1]).toMatch(/COUNT 1$/)
})

describe.each(MODES)('a range, with %s', (_name, client) => {
  it('has the entries after its position, up to and including the last one', async () => {
    const ids = await add(50)
    const { driver } = await openDriver(await client())
    const [after = '', upTo = ''] = [ids[9], ids[39]]
    const range = await driver.range(after, { upTo, ...EVERYTHING }, never)
    expect(range).toMatchObject({ end: upTo })
    expect(idsOf(range)).toEqual(ids.slice(10, 40))
  })

  it('ends at a limit of entries or bytes, and has at least one entry', async () => {
    const ids = await add(100)
    const large = await add(2, 50 * KB)
    const { driver, position } = await openDriver(await client())
    const [first = ''] = ids
    const read = (after: string, entries: number, bytes: number) =>
      driver.range(after, { upTo: position, entries, bytes }, never)

    const some = await read(first, 40, Number.POSITIVE_INFINITY)
    expect([idsOf(some), some]).toMatchObject([ids.slice(1, 41), { end: ids[40] }])
    const small = await read(first, 1_000, 3 * KB)
    expect(sizeOf(small)).toBeLessThanOrEqual(3 * KB)
    expect(sizeOf(small)).toBeGreaterThan(2 * KB)
    // The next entry is larger than the rest of the page.
    const before = await read(ids[97] as string, 1_000, 10 * KB)
    expect([idsOf(before), before]).toMatchObject([ids.slice(98), { end: ids[99] }])
    const alone = await read(ids[99] as string, 1_000, 10 * KB)
    expect([idsOf(alone), alone]).toMatchObject([[large[0]], { end: large[0] }])
  })

  it('is a gap at a position that no entry has', async () => {
    const [first = '', second = '', third = ''] = await add(3)
    const { driver } = await openDriver(await client())
    await admin.xdel(key, second)
    for (const position of ['1-1', second, `${Number.parseInt(third, 10)}-999`]) {
      expect(await driver.has(position, never)).toBe(false)
      expect(await driver.range(position, { upTo: third, ...EVERYTHING }, never)).toBe('gap')
    }
    expect(await driver.has(first, never)).toBe(true)
  })

  it('is complete up to a position that was removed', async () => {
    const [first = '', second = '', third = ''] = await add(3)
    const { driver } = await openDriver(await client())
    await admin.xdel(key, third)
    const range = await driver.range(first, { upTo: third, ...EVERYTHING }, never)
    expect(range).toMatchObject({ end: third })
    expect(idsOf(range)).toEqual([second])
  })

  it('is read again until the server has its last position', async () => {
    const [first = ''] = await add(1)
    const { driver, owner } = await openDriver(await client())
    const upTo = '9999999999999-0'
    const before = await commandsOf('xinfo[^:]*')
    const range = driver.range(first, { upTo, ...EVERYTHING }, never)
    await expect.poll(() => commandsOf('xinfo[^:]*')).toBeGreaterThan(before + 2)
    await admin.xadd(key, upTo, 'c', 'a', 'e', '{}')
    expect(idsOf(await range)).toEqual([upTo])
    expect(owner.states).toEqual(['ready'])
  })

  it('is a gap if its last position was lost', async () => {
    const [first = ''] = await add(1)
    const { driver, owner } = await openDriver(await client())
    const range = driver.range(first, { upTo: '9999999999999-0', ...EVERYTHING }, never)
    await admin.del(key)
    await killConnections()
    expect(await range).toBe('gap')
    await expect.poll(() => owner.losses).toHaveLength(1)
  })

  it('is read after the server has lost the scripts', async () => {
    const ids = await add(3)
    const { driver, position } = await openDriver(await client())
    for (let read = 0; read < 2; read++) {
      await admin.call('SCRIPT', 'FLUSH')
      const range = await driver.range(ids[0] as string, { upTo: position, ...EVERYTHING }, never)
      expect(idsOf(range)).toEqual(ids.slice(1))
    }
  })

  it('is rejected if the key holds another type', async () => {
    const [first = ''] = await add(1)
    const { driver, position } = await openDriver(await client())
    await admin.del(key)
    await admin.lpush(key, 'x')
    const range = driver.range(first, { upTo: position, ...EVERYTHING }, never)
    await expect(range).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
  })

  it('is rejected when the driver is closed', async () => {
    const [first = ''] = await add(1)
    const { driver } = await openDriver(await client())
    const range = driver.range(first, { upTo: '9999999999999-0', ...EVERYTHING }, never)
    const rejected = expect(range).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
    await driver.close()
    await rejected
    await expect(driver.has(first, never)).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
  })
})

describe.each(MODES)('the history before a position, with %s', (_name, client) => {
  const open = async () => {
    // An empty log gets its no-op record.
    const { driver, position: noop } = await openDriver(await client())
    return { driver, noop }
  }
  const search = (driver: StreamsDriver, position: string, last: number, maxEntries = 10_000) =>
    driver.historyBefore(position, new Set(['a', 'c']), last, maxEntries, never)

  it('begins directly before the oldest entry found', async () => {
    const { driver } = await open()
    const quiet = await add(3)
    const others = await add(2_500, 10, { channel: 'b' })
    const [newest = ''] = await add(1, 10, { channel: 'c' })
    expect(await search(driver, newest, 1)).toEqual({ after: others.at(-1), isIncomplete: false })
    expect(await search(driver, newest, 2)).toEqual({ after: quiet[1], isIncomplete: false })
    expect(await search(driver, others[0] as string, 2)).toEqual({ after: quiet[0], isIncomplete: false })
  })

  it('begins at the no-op record if there are fewer entries', async () => {
    const { driver, noop } = await open()
    const ids = await add(3)
    for (const last of [3, 4, Number.POSITIVE_INFINITY])
      expect(await search(driver, ids[2] as string, last)).toEqual({ after: noop, isIncomplete: false })
  })

  it('is incomplete if older entries were removed', async () => {
    const { driver } = await open()
    const ids = await add(5)
    await admin.xtrim(key, 'MINID', ids[2] as string)
    expect(await search(driver, ids[4] as string, 2)).toEqual({ after: ids[2], isIncomplete: false })
    expect(await search(driver, ids[4] as string, 3)).toEqual({ after: ids[2], isIncomplete: true })
    expect(await search(driver, ids[1] as string, 3)).toEqual({ after: ids[1], isIncomplete: true })
  })

  it('is incomplete if the search ends at its limit', async () => {
    const { driver } = await open()
    await add(1)
    const others = await add(1_500, 10, { channel: 'b' })
    expect(await search(driver, others.at(-1) as string, 1, 1_200)).toEqual({
      after: others[300],
      isIncomplete: true,
    })
  })

  it('reports whether the log still begins with its no-op record', async () => {
    const { driver, noop } = await open()
    expect(await driver.oldest(never)).toEqual({ position: noop, isFirst: true })
    const [first] = await add(1)
    await admin.xdel(key, noop)
    expect(await driver.oldest(never)).toEqual({ position: first, isFirst: false })
  })
})

describe.each(CLIENTS)('the bytes that Redis sends, with %s', (_name, client) => {
  const measure = async (work: () => Promise<unknown>) => {
    const before = await bytesSent()
    await work()
    // INFO itself is part of it.
    return (await bytesSent()) - before
  }

  it('are few for positions that no entry has', async () => {
    const [first = ''] = await add(50, 2 * KB)
    const { driver, position } = await openDriver(client())
    await driver.has(position, never)
    const ids = numbers(501, 801).map((n) => `${Number.parseInt(first, 10)}-${n}`)
    const bytes = await measure(() =>
      Promise.all(ids.map((id) => driver.range(id, { upTo: position, ...EVERYTHING }, never))),
    )
    expect(bytes).toBeLessThan(300 * 100)
  })

  it('are few for a known position and for the first entry', async () => {
    const [first = ''] = await add(2, LARGE)
    const { driver } = await openDriver(client())
    const bytes = await measure(async () => {
      expect(await driver.has(first, never)).toBe(true)
      expect(await driver.oldest(never)).toMatchObject({ position: first })
      await driver.historyBefore(first, new Set(['a']), 1, 100, never)
    })
    expect(bytes).toBeLessThan(20 * KB)
  })

  it('are those of one entry for a range of larger entries', async () => {
    const [first = ''] = await add(20, LARGE)
    const { driver, position } = await openDriver(client())
    const limits = { upTo: position, entries: 1_000, bytes: 256 * KB }
    const bytes = await measure(() => driver.range(first, limits, never))
    expect(bytes).toBeLessThan(LARGE + 10 * KB)
  })

  it('are at most one page more than the newest entries that are kept', async () => {
    await add(60, LARGE)
    const recent = { entries: 10_000, bytes: 4_000 * KB }
    const bytes = await measure(() => openDriver(client(), { recent }))
    expect(bytes).toBeLessThan(5_100 * KB)
    expect(bytes).toBeGreaterThan(3_000 * KB)
  })

  it('are a few MB in the reply to a blocking read', async () => {
    const { owner } = await openDriver(client())
    for (let round = 1; round <= 2; round++) {
      await addAtOnce(60, LARGE)
      await expect.poll(() => owner.batches.flat().length).toBe(60 * round)
    }
    const sizes = owner.batches.map((batch) => batch.reduce((sum, { record }) => sum + record.length, 0))
    expect(Math.max(...sizes)).toBeLessThan(8_000 * KB)
  })
})

describe('a position before the first entry', () => {
  it('needs no command once it is known', async () => {
    const [evicted = '', , first = ''] = await add(3)
    const { driver, position } = await openDriver()
    await admin.xtrim(key, 'MINID', first)
    expect(await driver.has(evicted, never)).toBe(false)
    const before = await commandsOf('xrange')
    expect([evicted, first].map((id) => driver.isEvicted(id))).toEqual([true, false])
    for (const id of ['1-0', '2-0', evicted]) {
      expect(await driver.has(id, never)).toBe(false)
      expect(await driver.range(id, { upTo: position, ...EVERYTHING }, never)).toBe('gap')
    }
    expect(await commandsOf('xrange')).toBe(before)
  })

  it('is looked up again after the log was replaced by one with earlier positions', async () => {
    await add(2)
    const { driver, owner } = await openDriver()
    expect(await driver.has('1-0', never)).toBe(false)
    await admin.del(key)
    await admin.xadd(key, '5-0', 'c', 'a', 'e', '{}')
    await killConnections()
    await expect.poll(() => owner.losses).toEqual(['5-0'])
    expect(driver.isEvicted('1-0')).toBe(false)
    expect(await driver.has('5-0', never)).toBe(true)
  })
})

describe.each(CLIENTS)('the connection of range reads, with %s', (_name, client) => {
  const opened = async (publishTimeout: number) => {
    const [first = ''] = await add(10)
    const proxy = await startProxy(broker.port)
    const { driver, owner, position } = await openDriver(client(proxy.port), { publishTimeout })
    const read = () => driver.range(first, { upTo: position, ...EVERYTHING }, never)
    // Redis notices the end of the connections of the test before later.
    await expect.poll(() => connectionsWith(/cmd=(?!client)/)).toHaveLength(2)
    expect(idsOf(await read())).toHaveLength(9)
    const ids = (await connectionsWith(/cmd=(?!client)/)).sort((a, b) => Number(a) - Number(b))
    expect(ids).toHaveLength(3)
    return { driver, owner, proxy, read, others: ids.slice(0, 2), own: ids.at(2) }
  }

  it('is replaced alone if a reply is late, while events are published and the state is ready', async () => {
    const { driver, owner, proxy, read, others } = await opened(1_000)
    proxy.silence(2)
    const ranges = [read(), read()]
    let isDone = false
    const done = Promise.all(ranges).finally(() => {
      isDone = true
    })
    while (!isDone) await driver.append('a', '{"data":1}')
    for (const range of await done) expect(idsOf(range)).toHaveLength(9)
    expect(owner.states).toEqual(['ready'])
    expect(await connectionsWith(/cmd=(xread|xadd)/)).toEqual(expect.arrayContaining(others))
  })

  it('is kept if a publish is late', async () => {
    const { driver, owner, proxy, read, own } = await opened(1_000)
    proxy.silence(0, 1)
    await expect(driver.append('a', '{"data":1}')).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
    expect(idsOf(await read())).toHaveLength(9)
    await expect.poll(() => owner.states).toEqual(['ready', 'reconnecting', 'ready'])
    expect(await connectionsWith(/cmd=evalsha/)).toContain(own)
  })

  it('is moved away from a server that lacks the last position, which is no longer the master', async () => {
    const old = await startRedis()
    const oldAdmin = adminOf(old.port)
    const ids = await add(10)
    for (const id of ids.slice(0, 5)) await oldAdmin.xadd(key, id, 'c', 'a', 'e', '{}')
    const proxy = await startProxy(broker.port)
    const { driver, owner, position } = await openDriver(client(proxy.port))
    proxy.leadTo(old.port)
    const range = driver.range(ids[0] as string, { upTo: position, ...EVERYTHING }, never)
    await expect.poll(() => rangeReadsOf(oldAdmin)).toBeGreaterThan(0)
    proxy.leadTo(broker.port)
    expect(idsOf(await range)).toEqual(ids.slice(1))
    expect(owner.states).toEqual(['ready'])
  })

  it('is sent no command for reads that were aborted during an outage', async () => {
    const own = await startRedis()
    const other = adminOf(own.port)
    const [first = ''] = await add(10, 100, { to: other })
    const { driver, owner, position } = await openDriver(client(own.port))
    const limits = { upTo: position, ...EVERYTHING }
    expect(idsOf(await driver.range(first, limits, never))).toHaveLength(9)
    await own.stop()
    await expect.poll(() => owner.states).toEqual(['ready', 'reconnecting'])
    const reads = Array.from({ length: 1_000 }, () => {
      const abort = new AbortController()
      return { abort, range: driver.range(first, limits, abort.signal) }
    })
    const results = Promise.allSettled(reads.map(({ range }) => range))
    const reason = new Error('The client has disconnected.')
    for (const { abort } of reads) abort.abort(reason)
    expect(new Set((await results).map((each) => each.status === 'rejected' && each.reason))).toEqual(
      new Set([reason]),
    )
    await own.start()
    await expect.poll(() => owner.states).toEqual(['ready', 'reconnecting', 'ready'])
    expect(await rangeReadsOf(other)).toBe(0)
    expect(idsOf(await driver.range(first, limits, never))).toHaveLength(9)
    expect(await rangeReadsOf(other)).toBeGreaterThan(0)
  })
})

describe.each(CLIENTS)(
  'a hub with a client of %s whose user has the commands of docs/redis.md',
  (_name, open) => {
    it.each([
      ['with scripts', 1],
      ['without scripts', -1],
    ])('publishes and replays from Redis, %s', async (_how, sign) => {
      const [paragraph = ''] = /A user of an ACL needs[\s\S]*?\n\n/.exec(pageOf('docs/redis.md')) ?? []
      const named = new Set(paragraph.match(/`[A-Z]+`/g)?.map((name) => name.slice(1, -1)))
      const connecting = ['AUTH', 'CLIENT', 'HELLO', 'INFO', 'SELECT']
      const commands = [...named, ...connecting].map(
        (name) => `${/^EVAL/.test(name) && sign < 0 ? '-' : '+'}${name}`,
      )
      await admin.call('ACL', 'SETUSER', 'limited', 'reset', 'on', '>secret', '~*', ...commands)
      const hub = openHub(
        { recentEvents: 2, maxAge: 60_000 },
        open(broker.port, { username: 'limited', password: 'secret' }),
      )
      await subscribeClient(hub)
      await replayFromRedis(hub)
      const repeatable = hub.channel('a').publish({ data: 1 }, { idempotencyKey: 'k' })
      if (sign > 0) expect(await repeatable).toMatch(/-/)
      else await expect(repeatable).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
    })
  },
)

async function rangeReadsOf(server: Redis): Promise<number> {
  return Number(/cmdstat_xrange:calls=(\d+)/.exec(await server.info('commandstats'))?.[1] ?? 0)
}

type Range = Awaited<ReturnType<StreamsDriver['range']>>

function idsOf(range: Range): string[] {
  return range === 'gap' ? ['gap'] : range.entries.map(({ id }) => id)
}

function sizeOf(range: Range): number {
  return range === 'gap' ? 0 : range.entries.reduce((sum, { record }) => sum + record.length, 0)
}
