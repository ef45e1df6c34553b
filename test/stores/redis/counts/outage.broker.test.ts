import { describe, expect, it, onTestFinished } from 'vitest'
import { type RedisCountsOptions, redisCounts } from '../../../../src/stores/redis/index.ts'
import { startRedis } from '../../../support/brokers.ts'
import { startProxy } from '../../../support/proxy.ts'
import { admin, adminOf, broker, CLIENTS, commandsOf, key } from '../../../support/redis-hub.ts'

const LEASE = 3_000

describe.each(CLIENTS)('counts with a client of %s', (_name, client) => {
  /** Opens the counts of another process. */
  const open = (port?: number, options: RedisCountsOptions = {}) => {
    const counts = redisCounts(client(port), { key, lease: LEASE, commandTimeout: 20_000, ...options })
    onTestFinished(() => counts.close())
    return counts
  }

  it('are stored again after Redis was restarted without them', async () => {
    const own = await startRedis('--save', '', '--appendonly', 'no')
    const [a, b] = [open(own.port), open(own.port)]
    expect(await a.acquire('user', 2)).toBe(true)
    expect(await b.acquire('user', 2)).toBe(true)
    await own.stop()
    await own.start()
    const stored = () => adminOf(own.port).hvals(`{${key}}:count:user`)
    await expect.poll(stored).toEqual(['1', '1'])
    expect(await a.acquire('user', 2)).toBe(false)
  })

  it('are stored again at the next renewal after all keys were removed', async () => {
    const counts = open()
    const users = Array.from({ length: 100 }, (_, i) => `user-${i}`)
    for (const user of [...users, ...users]) await counts.acquire(user, 9)
    await admin.flushall()
    // Only the first of them is stored again anyway at the next renewal.
    for (const user of users) await expect.poll(() => admin.hvals(`{${key}}:count:${user}`)).toEqual(['2'])
  })

  it('of a process whose response was lost count once', async () => {
    const proxy = await startProxy(broker.port)
    const counts = open(proxy.port)
    // Redis has the script from now on.
    await counts.acquire('other', 1)
    proxy.mute()
    const acquired = counts.acquire('user', 2)
    await expect.poll(() => admin.exists(`{${key}}:count:user`)).toBe(1)
    proxy.cut()
    expect(await acquired).toBe(true)
    expect(await admin.hvals(`{${key}}:count:user`)).toEqual(['1'])
  })

  it('are rejected while Redis does not respond, and work afterwards', async () => {
    const own = await startRedis()
    const counts = open(own.port, { commandTimeout: 200 })
    await expect.poll(() => Promise.resolve(counts.acquire('user', 1)).catch(() => false)).toBe(true)
    await own.stop()
    const unavailable = { code: 'ERR_SSE_STORE' }
    await expect(counts.acquire('other', 1)).rejects.toMatchObject(unavailable)
    await expect(counts.acquire('other', 1)).rejects.toMatchObject(unavailable)
    expect(await counts.acquire('user', 1)).toBe(false)
    counts.add('other')
    await own.start()
    await expect.poll(() => adminOf(own.port).hvals(`{${key}}:count:other`)).toEqual(['1'])
  })
})

describe('counts in Redis', () => {
  const [[, client]] = CLIENTS as [(typeof CLIENTS)[0]]
  const open = (options: RedisCountsOptions = {}) => {
    const counts = redisCounts(client(), { key, commandTimeout: 20_000, ...options })
    onTestFinished(() => counts.close())
    return counts
  }

  it('are renewed with one command, however many keys there are', async () => {
    const counts = open({ lease: LEASE })
    const users = Array.from({ length: 500 }, (_, i) => `user-${i}`)
    await Promise.all(users.map((user) => counts.acquire(user, 1)))
    const leaseEnd = async () => String(await admin.call('ZRANGE', `{${key}}:processes`, 0, -1, 'WITHSCORES'))
    const [first, before] = [await leaseEnd(), await commandsOf('evalsha')]
    await expect.poll(leaseEnd).not.toBe(first)
    // A second renewal may have followed on a busy machine.
    expect((await commandsOf('evalsha')) - before).toBeLessThanOrEqual(2)
  })

  it('leave no key without a time to live, and none of a key without streams', async () => {
    const counts = open()
    const users = ['a', 'b', '::1', 'x'.repeat(1_000)]
    for (const user of users) await counts.acquire(user, 1)
    const keys = await admin.keys(`{${key}}*`)
    expect(keys).toHaveLength(5)
    expect(Math.max(...keys.map((each) => each.length))).toBeLessThan(100)
    for (const each of keys) expect(await admin.pttl(each)).toBeGreaterThan(0)
    for (const user of users) counts.release(user)
    await expect.poll(() => admin.keys(`{${key}}:count*`)).toEqual([])
    await counts.close()
    expect(await admin.keys(`{${key}}*`)).toEqual([])
  })

  it('of a dead process are removed when the key is counted again', async () => {
    await admin.hset(`{${key}}:count:user`, 'dead', '5')
    expect(await open().acquire('user', 1)).toBe(true)
    expect(await admin.hvals(`{${key}}:count:user`)).toEqual(['1'])
  })

  it('are not disabled by a key of another type', async () => {
    await admin.set(`{${key}}:count:alice`, 'foreign')
    const counts = open({ lease: 1_000 })
    const causeOf = (error: Error) => String(error.cause)
    const outcomes = ['alice', 'bob'].map((user) => Promise.resolve(counts.acquire(user, 1)).catch(causeOf))
    expect(await Promise.all(outcomes)).toEqual([expect.stringContaining('WRONGTYPE'), true])
    expect(await counts.acquire('carl', 1)).toBe(true)
    expect(await admin.get(`{${key}}:count:alice`)).toBe('foreign')
    await admin.del(`{${key}}:count:alice`)
    expect(await counts.acquire('alice', 1)).toBe(true)
  })

  it('need no script in the cache of Redis', async () => {
    const counts = open()
    await counts.acquire('user', 2)
    await admin.script('FLUSH')
    expect(await counts.acquire('user', 2)).toBe(true)
  })

  it('need no more than the documented commands', async () => {
    const commands = 'EVALSHA EVAL TIME ZSCORE ZREMRANGEBYSCORE ZADD ZREM PEXPIRE HGETALL HSET HDEL'
    const rules = [...commands.split(' '), 'HELLO', 'CLIENT', 'INFO'].map((name) => `+${name.toLowerCase()}`)
    await admin.call('ACL', 'SETUSER', 'counts', 'reset', 'on', '>secret', `~{${key}}*`, ...rules)
    await admin.hset(`{${key}}:count:user`, 'dead', '5')
    const counts = redisCounts(client(undefined, { username: 'counts', password: 'secret' }), { key })
    expect(await counts.acquire('user', 1)).toBe(true)
    counts.release('user')
    await expect.poll(() => admin.keys(`{${key}}:count*`)).toEqual([])
    await counts.close()
  })

  it('reject an acquire without permission', async () => {
    await admin.call('ACL', 'SETUSER', 'none', 'reset', 'on', '>secret', '~*', '+hello', '+client', '+info')
    const counts = redisCounts(client(undefined, { username: 'none', password: 'secret' }), { key })
    onTestFinished(() => counts.close())
    await expect(counts.acquire('user', 1)).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
  })

  it.each([
    ['Option key', { key: '' }],
    ['hash tag', { key: 'a{b' }],
    ['Option lease', { lease: 999 }],
    ['Option commandTimeout', { commandTimeout: 0 }],
    ['"maxStreams"', { maxStreams: 1 } as RedisCountsOptions],
  ])('check their options: %s', (message, options) => {
    const create = () => redisCounts(client(), options)
    expect(create).toThrow(expect.objectContaining({ code: 'ERR_SSE_OPTION' }))
    expect(create).toThrow(message)
  })
})
