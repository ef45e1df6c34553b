import { expect, it, onTestFinished } from 'vitest'
import { jetstreamCounts } from '../../../src/stores/nats/index.ts'
import { type Broker, startNats } from '../../support/brokers.ts'
import { eventually, openConnection, openHub, subscribeStream } from '../../support/nats-hub.ts'
import { batchOf, openRuns, startRun, textsOf } from '../../support/nats-runs.ts'
import { describeOnSmallDisk, mountSmallDisk, type SmallDisk } from '../../support/small-disk.ts'

const RETRIED = 1_000_000
const STORE_ERROR = { code: 'ERR_SSE_STORE' }

// `startNats` names another folder if there is a colon after the name.
const startOn = ({ folder }: SmallDisk) => startNats(`jetstream { store_dir: ${JSON.stringify(folder)} }`)

/** Opens a hub on a disk, fills the disk, and publishes numbers until one is rejected. */
async function openAndFill(disk: SmallDisk, broker: Broker) {
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
  /** Expects that events can be published, and that each client has received all that were acknowledged, once. */
  const expectComplete = async () => {
    await hub.channel('a').publish({ data: RETRIED }, { idempotencyKey: 'retried' })
    const all = [...acknowledged, RETRIED]
    await eventually(() => live.seen).toEqual(all)
    expect(live.stream.closed).toBe(false)
    const resumed = await subscribeStream(hub, first)
    await eventually(() => resumed.seen).toEqual(all.slice(1))
  }
  return { hub, error, connection, expectComplete }
}

describeOnSmallDisk('a JetStream on a full disk', () => {
  it('rejects publishes until it is restarted with room, and keeps what it acknowledged', async () => {
    const disk = mountSmallDisk()
    const broker = await startOn(disk)
    const { store } = await openRuns(broker.port, 'me')
    const run = await startRun(store, 'run')
    await run.append(batchOf(1, 'a'))
    const { hub, error, connection, expectComplete } = await openAndFill(disk, broker)
    expect(error).toMatchObject(STORE_ERROR)
    const counts = jetstreamCounts(connection, { storage: 'file' })
    onTestFinished(() => counts.close())
    const acquire = async () => counts.acquire('user', 2)
    await expect(acquire()).rejects.toMatchObject(STORE_ERROR)
    const appended = run.append(batchOf(2, 'b'))
    const retried = hub.channel('a').publish({ data: RETRIED }, { idempotencyKey: 'retried' })
    await expect(retried).rejects.toMatchObject(STORE_ERROR)
    await eventually(() => hub.state).toBe('reconnecting')
    disk.free()
    await broker.stop()
    await broker.start()
    await expectComplete()
    expect(await appended).toBe(true)
    expect(textsOf(await run.read(0))).toEqual(['a', 'b'])
    await eventually(() => acquire().catch(() => 'full')).toBe(true)
  })

  it('that is started again on it is used again once it is restarted with room', async () => {
    const disk = mountSmallDisk()
    const broker = await startOn(disk)
    const { store } = await openRuns(broker.port, 'me')
    const run = await startRun(store, 'run')
    await run.append(batchOf(1, 'a'))
    const { hub, expectComplete } = await openAndFill(disk, broker)
    const appended = run.append(batchOf(2, 'b'))
    await broker.stop()
    await broker.start()
    const retried = hub.channel('a').publish({ data: RETRIED }, { idempotencyKey: 'retried' })
    await expect(retried).rejects.toMatchObject(STORE_ERROR)
    await eventually(() => hub.state).toBe('reconnecting')
    disk.free()
    await broker.stop()
    await broker.start()
    await expectComplete()
    expect(await appended).toBe(true)
    expect(textsOf(await run.read(0))).toEqual(['a', 'b'])
  })
})
