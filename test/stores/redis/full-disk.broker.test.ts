import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Hub } from '../../../src/hub/hub.ts'
import { redisCounts, redisRuns } from '../../../src/stores/redis/index.ts'
import { openProcesses } from '../../clients/run-processes.ts'
import { startRedis } from '../../support/brokers.ts'
import {
  adminOf,
  CLIENTS,
  key,
  openHub,
  reconnect,
  seen,
  statesOf,
  subscribeClient,
} from '../../support/redis-hub.ts'
import { batch, openRuns, startRun } from '../../support/redis-runs.ts'
import { closed, PushSource, runEventsOf } from '../../support/runs.ts'
import { fakeStream } from '../../support/streams.ts'

// A Redis whose disk is full rejects writes with MISCONF, and one whose memory is full with OOM. It answers reads.

const LEASE = 1_000

async function startFull(fault: string) {
  const broker = await startRedis('--stop-writes-on-bgsave-error', 'yes')
  const admin = adminOf(broker.port)
  const isSaved = async (status: string) => {
    await admin.call('BGSAVE').catch(() => {})
    await expect.poll(() => admin.info('persistence')).toMatch(/rdb_bgsave_in_progress:0/)
    await expect.poll(() => admin.info('persistence')).toContain(`rdb_last_bgsave_status:${status}`)
  }
  const faults: Record<string, { begin(): Promise<unknown>; end(): Promise<unknown> }> = {
    MISCONF: {
      async begin() {
        // A file cannot replace a folder that is not empty, as it cannot be written to a full disk.
        mkdirSync(join(broker.folder, 'dump.rdb', 'full'), { recursive: true })
        await admin.config('SET', 'save', '3600 1')
        await isSaved('err')
      },
      async end() {
        rmSync(join(broker.folder, 'dump.rdb'), { recursive: true })
        await isSaved('ok')
      },
    },
    OOM: {
      begin: () => admin.config('SET', 'maxmemory', 1),
      end: () => admin.config('SET', 'maxmemory', 0),
    },
  }
  return { broker, ...(faults[fault] as (typeof faults)[string]) }
}

const rejectedWith = (fault: string) => ({
  code: 'ERR_SSE_STORE',
  cause: { message: expect.stringContaining(fault) },
})

const publish = (hub: Hub, data: number, options = {}) => hub.channel('a').publish({ data }, options)

describe.each(CLIENTS)('with a client of %s', (_name, client) => {
  describe.each(['MISCONF', 'OOM'])('a Redis that rejects writes with %s', (fault) => {
    it('rejects publishes with ERR_SSE_STORE, and its streams stay open and resume exactly', async () => {
      const { broker, begin, end } = await startFull(fault)
      const hub = openHub({ recentEvents: 1 }, client(broker.port))
      const live = await subscribeClient(hub)
      const first = await publish(hub, 0)
      await publish(hub, 1)
      await begin()
      const rejected = { code: 'ERR_SSE_STORE', message: expect.stringContaining(fault) }
      await expect(publish(hub, -1)).rejects.toMatchObject(rejected)
      await expect(publish(hub, -1, { idempotencyKey: 'key' })).rejects.toMatchObject(rejected)
      expect(hub.state).toBe('ready')
      // Redis still answers reads.
      expect(await seen(reconnect(hub, first), 1)).toEqual(['1'])
      await end()
      const last = await publish(hub, 2, { idempotencyKey: 'key' })
      expect(await publish(hub, 2, { idempotencyKey: 'key' })).toBe(last)
      expect(live.stream?.closed).toBe(false)
      expect(await seen(live, 3)).toEqual(['0', '1', '2'])
      expect(await seen(reconnect(hub, first), 2)).toEqual(['1', '2'])
    })

    it('delays the batches of a run, which are appended once', async () => {
      const { broker, begin, end } = await startFull(fault)
      const store = openRuns(client(broker.port))
      const run = await startRun(store)
      await run.append(batch(1, 'a'))
      await begin()
      const appended = run.append(batch(2, 'b'))
      await expect.poll(() => rejectedCalls(broker.port)).toBeGreaterThan(0)
      await end()
      expect(await appended).toBe(true)
      expect(await run.texts(store)).toEqual(['a', 'b'])
    })

    it('rejects the start of a run with the error of Redis as the cause', async () => {
      const { broker, begin } = await startFull(fault)
      const store = openRuns(client(broker.port), { commandTimeout: 1_000 })
      await startRun(store, 'before')
      await begin()
      await expect(startRun(store)).rejects.toMatchObject(rejectedWith(fault))
    })

    it('does not end a run whose owner cannot renew its lease', async () => {
      const { broker, begin, end } = await startFull(fault)
      const open = () => redisRuns(client(broker.port), { key })
      const { first, second } = await openProcesses(() => open, { lease: LEASE })
      const source = new PushSource()
      const run = await first.start('run', (signal) => source.read(signal))
      const { stream, transport } = fakeStream({ heartbeat: 0 })
      await second.subscribe(stream, 'run')
      source.push({ data: 'a' })
      await begin()
      source.push({ data: 'b' })
      // Nothing happens, as far as the process can see.
      await pause(3 * LEASE)
      await end()
      source.push({ data: 'c' })
      source.end()
      expect(await run.whenEnded()).toBe('done')
      expect(await closed(stream)).toBe('server')
      expect(runEventsOf(transport)).toEqual(['message a', 'message b', 'message c', 'end {"reason":"done"}'])
    })
  })

  it('a Redis that rejects writes rejects counts with its error as the cause', async () => {
    const { broker, begin, end } = await startFull('MISCONF')
    const counts = redisCounts(client(broker.port), { key, commandTimeout: 1_000 })
    onTestFinished(() => counts.close())
    const acquire = async () => counts.acquire('user', 2)
    expect(await acquire()).toBe(true)
    await begin()
    await expect(acquire()).rejects.toMatchObject(rejectedWith('MISCONF'))
    await end()
    await expect.poll(() => acquire().catch(() => 'full')).toBe(true)
    expect(await acquire()).toBe(false)
  })

  it('a Redis that rejects writes has a hub with maxAge that stays ready', async () => {
    const { broker, begin } = await startFull('MISCONF')
    await publish(openHub({}, client(broker.port)), 0)
    await begin()
    const hub = openHub({ maxAge: 3_600_000 }, client(broker.port))
    const states = statesOf(hub)
    const live = await subscribeClient(hub)
    const admin = adminOf(broker.port)
    await expect.poll(() => admin.info('commandstats')).toMatch(/cmdstat_xtrim:.*rejected_calls=[1-9]/)
    await expect.poll(() => admin.info('clients')).toContain('blocked_clients:2')
    expect(states).toEqual(['ready'])
    expect(live.stream?.closed).toBe(false)
  })
})

async function rejectedCalls(port: number): Promise<number> {
  const counts = (await adminOf(port).info('errorstats')).matchAll(/errorstat_(?:OOM|MISCONF):count=(\d+)/g)
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}
