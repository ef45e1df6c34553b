import { expect, it } from 'vitest'
import type { Hub } from '../../../src/hub/hub.ts'
import { redisCounts } from '../../../src/stores/redis/index.ts'
import { type Broker, startRedis } from '../../support/brokers.ts'
import {
  adminOf,
  key,
  nodeRedis,
  openHub,
  reconnect,
  seen,
  statesOf,
  subscribeClient,
} from '../../support/redis-hub.ts'
import { batch, openRuns, startRun } from '../../support/redis-runs.ts'
import { describeOnSmallDisk, mountSmallDisk, type SmallDisk } from '../../support/small-disk.ts'

const STORE_ERROR = { code: 'ERR_SSE_STORE' }
const FULL = { ...STORE_ERROR, message: expect.stringContaining('MISCONF') }

const start = (disk: SmallDisk, ...args: string[]) => startRedis('--dir', disk.folder, ...args)
const exited = (broker: Broker) => expect.poll(() => broker.isRunning).toBe(false)

/** Publishes numbers until one is rejected. Returns those that were acknowledged, and the id of the first one. */
async function publishUntilRejected(hub: Hub, from = 0) {
  const acknowledged: string[] = []
  for (let n = from; ; n++) {
    const error = await hub
      .channel('a')
      .publish({ data: n })
      .then(
        () => acknowledged.push(String(n)) && undefined,
        (reason) => reason,
      )
    if (error) return { acknowledged, error }
  }
}

/** Opens a hub on a disk with one event, fills the disk, and publishes until that is rejected. */
async function openAndFill(disk: SmallDisk, broker: Broker) {
  // One event is cached, so that replays read from Redis.
  const hub = openHub({ recentEvents: 1, publishTimeout: 2_000 }, nodeRedis(broker.port))
  const live = await subscribeClient(hub)
  const states = statesOf(hub)
  const first = await hub.channel('a').publish({ data: 0 })
  disk.fill()
  const { acknowledged, error } = await publishUntilRejected(hub, 1)
  const expectReplay = async (...further: string[]) => {
    const missed = [...acknowledged, ...further]
    expect(await seen(reconnect(hub, first), missed.length)).toEqual(missed)
  }
  /** Expects that events can be published, and that each client has received all that were acknowledged, once. */
  const expectComplete = async () => {
    await hub.channel('a').publish({ data: 'last' }, { idempotencyKey: 'last' })
    await expectReplay('last')
    expect(live.stream?.closed).toBe(false)
    expect(await seen(live, acknowledged.length + 2)).toEqual(['0', ...acknowledged, 'last'])
  }
  return { hub, error, states, expectReplay, expectComplete }
}

describeOnSmallDisk('a Redis on a full disk', () => {
  it('with an append-only file rejects writes until there is room, and keeps what it acknowledged', async () => {
    const disk = mountSmallDisk()
    const broker = await start(disk, '--appendfsync', 'everysec')
    const run = await startRun(openRuns(nodeRedis(broker.port)))
    const counts = redisCounts(nodeRedis(broker.port), { key })
    const acquire = async () => counts.acquire('user', 2)
    expect(await acquire()).toBe(true)
    const { error, states, expectReplay, expectComplete } = await openAndFill(disk, broker)
    expect(error).toMatchObject(FULL)
    await expectReplay()
    const appended = run.append(batch(1, 'a'))
    await expect(acquire()).rejects.toMatchObject(STORE_ERROR)
    expect(states).toEqual([])
    disk.free()
    expect(await appended).toBe(true)
    await expect.poll(() => acquire().catch(() => 'full')).toBe(true)
    expect(await acquire()).toBe(false)
    await broker.stop()
    await broker.start()
    await expectComplete()
    expect(await run.texts()).toEqual(['a'])
  })

  it('that writes each command to disk ends, and can be started again when there is room', async () => {
    const disk = mountSmallDisk()
    const broker = await start(disk)
    const run = await startRun(openRuns(nodeRedis(broker.port)))
    const { hub, error, expectReplay, expectComplete } = await openAndFill(disk, broker)
    expect(error).toMatchObject(STORE_ERROR)
    await exited(broker)
    // Longer than a block of the disk. A shorter batch may fit in place of the command that was written in part.
    const text = 'a'.repeat(10_000)
    const appended = run.append(batch(1, text))
    // It loads what is stored, and ends at the next write, which waits for it.
    await broker.start().catch(() => {})
    await exited(broker)
    const retried = hub.channel('a').publish({ data: 'last' }, { idempotencyKey: 'last' })
    await expect(retried).rejects.toMatchObject(STORE_ERROR)
    expect(hub.state).toBe('reconnecting')
    disk.free()
    await broker.start()
    expect(await appended).toBe(true)
    await expectReplay()
    await expectComplete()
    expect(await run.texts()).toEqual([text])
  })

  it.each([
    ['full', (disk: SmallDisk) => disk.fill(), (disk: SmallDisk) => disk.free()],
    ['read-only', (disk: SmallDisk) => disk.remount('ro'), (disk: SmallDisk) => disk.remount('rw')],
  ])('with snapshots rejects publishes while it is %s', async (_name, begin, end) => {
    const disk = mountSmallDisk()
    const broker = await start(disk, '--appendonly', 'no', '--save', '3600 1')
    const admin = adminOf(broker.port)
    const hub = openHub({ recentEvents: 1 }, nodeRedis(broker.port))
    const live = await subscribeClient(hub)
    const first = await hub.channel('a').publish({ data: 0 })
    await hub.channel('a').publish({ data: 1 })
    begin(disk)
    await save(admin, 'err')
    await expect(hub.channel('a').publish({ data: -1 })).rejects.toMatchObject(FULL)
    expect(await seen(reconnect(hub, first), 1)).toEqual(['1'])
    end(disk)
    await save(admin, 'ok')
    await hub.channel('a').publish({ data: 2 })
    expect(await seen(live, 3)).toEqual(['0', '1', '2'])
    expect(await seen(reconnect(hub, first), 2)).toEqual(['1', '2'])
  })

  it('at its start has no hub that is ready before there is room', async () => {
    const disk = mountSmallDisk()
    const broker = await start(disk, '--appendfsync', 'everysec')
    const other = openHub({ key: 'other', publishTimeout: 2_000 }, nodeRedis(broker.port))
    await other.channel('a').publish({ data: 0 })
    disk.fill()
    await publishUntilRejected(other)
    const hub = openHub({ publishTimeout: 2_000 }, nodeRedis(broker.port))
    await expect(hub.channel('a').publish({ data: -1 })).rejects.toMatchObject(STORE_ERROR)
    expect(hub.state).toBe('connecting')
    disk.free()
    const live = await subscribeClient(hub)
    await hub.channel('a').publish({ data: 1 })
    expect(await seen(live, 1)).toEqual(['1'])
  })
})

async function save(admin: ReturnType<typeof adminOf>, status: 'ok' | 'err'): Promise<void> {
  await admin.call('BGSAVE').catch(() => {})
  await expect.poll(() => admin.info('persistence')).toMatch(/rdb_bgsave_in_progress:0/)
  await expect.poll(() => admin.info('persistence')).toContain(`rdb_last_bgsave_status:${status}`)
}
