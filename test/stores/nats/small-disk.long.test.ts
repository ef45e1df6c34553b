import { expect, it, onTestFinished } from 'vitest'
import { jetstreamCounts } from '../../../src/stores/nats/index.ts'
import { startNats } from '../../support/brokers.ts'
import { eventually, openConnection, openHub, subscribeStream } from '../../support/nats-hub.ts'
import { batchOf, openRuns, startRun, textsOf } from '../../support/nats-runs.ts'
import { describeOnSmallDisk, mountSmallDisk, type SmallDisk } from '../../support/small-disk.ts'

const RETRIED = 1_000_000
const STORE_ERROR = { code: 'ERR_SSE_STORE' }

// `startNats` names another folder if there is a colon after the name.
const startOn = ({ folder }: SmallDisk) => startNats(`jetstream { store_dir: ${JSON.stringify(folder)} }`)

/** Opens a hub and a run on a disk, fills the disk, publishes numbers until one is rejected, and appends to the run. */
async function openOnFullDisk() {
  const disk = mountSmallDisk()
  const broker = await startOn(disk)
  const { store } = await openRuns(broker.port, 'me')
  const run = await startRun(store, 'run')
  await run.append(batchOf(1, 'a'))
  const connection = await openConnection(broker.port)
  // One event is cached, so that replays are read from the server.
  const hub = await openHub(connection, { publishTimeout: 2_000, recentEvents: 1 })
  const live = await subscribeStream(hub)
  const first = await hub.channel('a').publish({ data: 0 })
  disk.fill()
  const acknowledged = [0]
  let error: unknown
  for (let n = 1; error === undefined; n++) {
    const published = hub.channel('a').publish({ data: n })
    error = await published.then(
      () => void acknowledged.push(n),
      (reason) => reason,
    )
  }
  const appended = run.append(batchOf(2, 'b'))
  const retry = () => hub.channel('a').publish({ data: RETRIED }, { idempotencyKey: 'retried' })
  /**
   * Restarts the server with room. Expects that each client receives all acknowledged events once, and the run its
   * batch.
   */
  const recover = async () => {
    await expect(retry()).rejects.toMatchObject(STORE_ERROR)
    await eventually(() => hub.state).toBe('reconnecting')
    disk.free()
    await broker.stop()
    await broker.start()
    await retry()
    const all = [...acknowledged, RETRIED]
    await eventually(() => live.seen).toEqual(all)
    expect(live.stream.closed).toBe(false)
    const resumed = await subscribeStream(hub, first)
    await eventually(() => resumed.seen).toEqual(all.slice(1))
    expect(await appended).toBe(true)
    expect(textsOf(await run.read(0))).toEqual(['a', 'b'])
  }
  return { broker, connection, error, recover }
}

describeOnSmallDisk('a JetStream on a full disk', () => {
  it('rejects publishes until it is restarted with room, and keeps what it acknowledged', async () => {
    const { connection, error, recover } = await openOnFullDisk()
    expect(error).toMatchObject(STORE_ERROR)
    const counts = jetstreamCounts(connection, { storage: 'file' })
    onTestFinished(() => counts.close())
    const acquire = async () => counts.acquire('user', 2)
    await expect(acquire()).rejects.toMatchObject(STORE_ERROR)
    await recover()
    await eventually(() => acquire().catch(() => 'full')).toBe(true)
  })

  it('that is started again on it is used again once it is restarted with room', async () => {
    const { broker, recover } = await openOnFullDisk()
    await broker.stop()
    await broker.start()
    await recover()
  })
})
