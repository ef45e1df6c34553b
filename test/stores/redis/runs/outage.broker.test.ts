import { describe, expect, it } from 'vitest'
import { holdClock } from '../../../../src/testing/index.ts'
import { startRedis } from '../../../support/brokers.ts'
import { deferred } from '../../../support/deferred.ts'
import { startProxy } from '../../../support/proxy.ts'
import { admin, adminOf, broker, CLIENTS, commandsOf, key, numbers } from '../../../support/redis-hub.ts'
import { all, batch, collect, HOUR, newSignal, openRuns, startRun } from '../../../support/redis-runs.ts'

describe.each(CLIENTS)('a run with a client of %s', (_name, client) => {
  it('has each batch once, in order, after Redis was killed and restarted', async () => {
    const own = await startRedis()
    const [store, other] = [openRuns(client(own.port)), openRuns(client(own.port))]
    const run = await startRun(store)
    const collected = await collect(other, run.id, run.epoch)
    const restart = async () => {
      await own.stop()
      await own.start()
    }
    for (let first = 1; first <= 300; first++) {
      const stored = run.append(batch(first, String(first)))
      const restarted = first % 100 === 50 ? restart() : undefined
      expect(await stored).toBe(true)
      await restarted
    }
    await expect.poll(() => collected.texts.length).toBe(300)
    expect(collected.texts).toEqual(numbers(1, 301))
    expect(collected.interruptions()).toBeGreaterThan(0)
    expect(await run.texts(other)).toEqual(numbers(1, 301))
  })

  it('has a batch once whose response was lost', async () => {
    const proxy = await startProxy(broker.port)
    const run = await startRun(openRuns(client(proxy.port)))
    // Redis has the script from now on.
    await run.append(batch(1, 'a'))
    proxy.mute()
    const stored = run.append(batch(2, 'b'))
    await expect.poll(() => admin.xlen(`{${key}}:run:run`)).toBe(3)
    proxy.cut()
    expect(await stored).toBe(true)
    expect(await run.texts(openRuns(client()))).toEqual(['a', 'b'])
  })

  it('is new to its owner if the response of the start was lost', async () => {
    const proxy = await startProxy(broker.port)
    const store = openRuns(client(proxy.port))
    // Redis has the script from now on.
    await store.start('other', 'me', HOUR)
    proxy.mute()
    const started = store.start('run', 'me', HOUR)
    await expect.poll(() => admin.exists(`{${key}}:run:run`)).toBe(1)
    proxy.cut()
    expect(await started).toMatchObject({ isNew: true, owner: 'me', last: 0 })
    expect(await store.start('run', 'me', HOUR)).toMatchObject({ isNew: false })
  })

  it('is watched again after the subscribed connection was lost', async () => {
    const [store, other] = [openRuns(client()), openRuns(client())]
    const run = await startRun(store)
    const collected = await collect(other, run.id, run.epoch)
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await run.append(batch(1, 'a'))
    await expect.poll(collected.interruptions).toBe(1)
    await run.append(batch(2, 'b'))
    await expect.poll(() => collected.texts).toEqual(['a', 'b'])
    expect(collected.interruptions()).toBe(1)
  })

  it('is not watched after a reconnect if its watch was closed meanwhile', async () => {
    const own = await startRedis()
    const store = openRuns(client(own.port))
    const [kept, closed] = [await startRun(store, 'kept'), await startRun(store, 'closed')]
    const other = openRuns(client(own.port))
    const collected = await collect(other, kept.id, kept.epoch)
    const { watch } = await collect(other, closed.id, closed.epoch)
    await own.stop()
    watch.close()
    await own.start()
    await expect.poll(collected.interruptions).toBe(1)
    await expect.poll(async () => adminOf(own.port).pubsub('CHANNELS')).toEqual([`{${key}}:run:kept`])
  })

  it('is not appended to by an aborted call after an outage', async () => {
    const own = await startRedis()
    const store = openRuns(client(own.port))
    const [run, other] = [await startRun(store, 'a'), await startRun(store, 'b')]
    await own.stop()
    const abort = new AbortController()
    const stored = expect(run.append(batch(1, 'late'), abort.signal)).rejects.toThrow('stopped')
    const kept = other.append(batch(1, 'kept'))
    // The next turns send it to the queue of the connection.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
    abort.abort(new Error('stopped'))
    await stored
    await own.start()
    expect(await kept).toBe(true)
    expect(await other.texts()).toEqual(['kept'])
    expect(await run.texts()).toEqual([])
  })

  it('is found or started only while Redis responds, otherwise the calls are rejected', async () => {
    const own = await startRedis()
    const store = openRuns(client(own.port), { commandTimeout: 200 })
    store.serve({ name: 'me', onStop: () => {} }, 10_000)
    const run = await startRun(store)
    await own.stop()
    const calls = [
      store.isAlive('me'),
      store.renew(),
      store.find('run'),
      store.start('run', 'me', HOUR),
      store.remove('run'),
      store.isWatched('run', run.epoch),
      store.requestStop('me', 'run', run.epoch),
    ]
    for (const result of await Promise.allSettled(calls))
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ERR_SSE_STORE' } })
    await own.start()
    const epoch = async () => (await store.find('run'))?.epoch
    await expect.poll(() => epoch().catch(String)).toBe(run.epoch)
  })
})

describe.each(CLIENTS)('a store with a client of %s', (_name, client) => {
  it('reports no owner as dead and no run as unwatched until other processes have reconnected', async () => {
    using time = holdClock()
    const own = await startRedis()
    const store = openRuns(client(own.port))
    const answers = async () => {
      const settled = await Promise.allSettled([store.isAlive('other'), store.isWatched('run', '1')])
      return settled.map((result) => (result.status === 'fulfilled' ? result.value : result.reason.code))
    }
    expect(await answers()).toEqual([false, false])
    await own.stop()
    await own.start()
    expect(await answers()).toEqual(['ERR_SSE_STORE', 'ERR_SSE_STORE'])
    await adminOf(own.port).set(`{${key}}:owner:other`, '1')
    expect(await answers()).toEqual([true, 'ERR_SSE_STORE'])
    await adminOf(own.port).del(`{${key}}:owner:other`)
    time.advance(2_900)
    expect(await answers()).toEqual(['ERR_SSE_STORE', 'ERR_SSE_STORE'])
    time.advance(100)
    expect(await answers()).toEqual([false, false])
  })
})

describe('a request to stop', () => {
  it('is repeated until the owner receives it', async () => {
    const [, [, client]] = CLIENTS as [(typeof CLIENTS)[0], (typeof CLIENTS)[0]]
    const [store, other] = [openRuns(client()), openRuns(client())]
    const stopped = deferred<string[]>()
    store.serve({ name: 'me', onStop: (...args) => stopped.resolve(args) }, 10_000)
    await admin.set(`{${key}}:owner:me`, '1', 'PX', HOUR)
    const before = await commandsOf('publish')
    const requested = other.requestStop('me', 'a run', '123')
    await expect.poll(() => commandsOf('publish')).toBeGreaterThan(before)
    await store.renew()
    await requested
    expect(await stopped.promise).toEqual(['a run', '123'])
  })
})

describe('an append', () => {
  const [[, client]] = CLIENTS as [(typeof CLIENTS)[0]]

  it('needs no script in the cache of Redis', async () => {
    const run = await startRun(openRuns(client()))
    await run.append(batch(1, 'a'))
    await admin.script('FLUSH')
    expect(await run.append(batch(2, 'b'))).toBe(true)
    expect(await run.texts()).toEqual(['a', 'b'])
  })

  it('is rejected without those of other runs if its key holds another type', async () => {
    const store = openRuns(client())
    const [wrong, right] = [await startRun(store, 'wrong'), await startRun(store, 'right')]
    await admin.set(`{${key}}:run:wrong`, 'text')
    const stored = right.append(batch(1, 'a'))
    await expect(wrong.append(batch(1, 'a'))).rejects.toMatchObject({
      code: 'ERR_SSE_STORE',
      message: expect.stringContaining('WRONGTYPE'),
    })
    expect(await stored).toBe(true)
  })

  it('waits while Redis has no memory', async () => {
    const own = await startRedis()
    const other = adminOf(own.port)
    const run = await startRun(openRuns(client(own.port)))
    await other.config('SET', 'maxmemory', '1')
    const stored = run.append(batch(1, 'a'))
    await expect.poll(() => other.info('errorstats')).toContain('errorstat_OOM')
    await other.config('SET', 'maxmemory', '0')
    expect(await stored).toBe(true)
    expect(await run.texts()).toEqual(['a'])
  })

  it('is refused after batches were lost, so that no event is missing between two others', async () => {
    const run = await startRun(openRuns(client()))
    await run.append(batch(1, 'a'))
    await run.append(batch(2, 'b'))
    const [newest] = (await admin.xrevrange(`{${key}}:run:run`, '+', '-', 'COUNT', 1)) as [[string, string[]]]
    await admin.xdel(`{${key}}:run:run`, newest[0])
    expect(await run.append(batch(3, 'c'))).toBe(false)
    expect(await run.texts()).toEqual(['a'])
  })

  it('notifies the watchers of a run that has expired', async () => {
    const [store, other] = [openRuns(client()), openRuns(client())]
    const run = await startRun(store)
    const collected = await collect(other, run.id, run.epoch)
    await admin.del(`{${key}}:run:run`)
    expect(await run.append(batch(1, 'a'))).toBe(false)
    await expect.poll(collected.interruptions).toBe(1)
    expect(await other.read(run.id, run.epoch, { number: 0 }, 1e6, newSignal())).toBeUndefined()
  })

  it('of the end keeps a run no longer than its maximum age', async () => {
    const store = openRuns(client())
    const { epoch } = await store.start('run', 'me', 60_000)
    const end = { ...batch(1, 'end'), end: 'done' as const }
    expect(await store.append('run', epoch, end, { ...all, keep: HOUR }, newSignal())).toBe(true)
    const left = await admin.pttl(`{${key}}:run:run`)
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThanOrEqual(60_000)
  })
})
