import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { holdClock } from '../../../src/testing/index.ts'
import { type Broker, startNats } from '../../support/brokers.ts'
import { NEVER } from '../../support/nats-driver.ts'
import { connectNats, eventually, numbers, startCuttableProxy } from '../../support/nats-hub.ts'
import { batchOf, follow, openRuns, startRun, textsOf } from '../../support/nats-runs.ts'
import { startProxy } from '../../support/proxy.ts'

let broker: Broker
let manager: JetStreamManager
let runs = 0
let id = ''

beforeAll(async () => {
  broker = await startNats()
  const connection = await connectNats(broker.port)
  manager = await jetstreamManager(connection)
  return async () => {
    await connection.close()
    await broker.end()
  }
})

beforeEach(() => {
  id = `run ${++runs}`
})

test('a run continues if the broker is killed, and each watcher receives each batch once and in order', async () => {
  const [a, b] = [await openRuns(broker.port, 'a'), await openRuns(broker.port, 'b')]
  const run = await startRun(a.store, id)
  const watchers = [await follow(a.store, id, run.epoch), await follow(b.store, id, run.epoch)]
  let restart: Promise<void> | undefined
  for (let first = 1; first <= 300; first++) {
    if (first % 100 === 50) restart = broker.stop('SIGKILL').then(() => broker.start())
    expect(await run.append(batchOf(first, String(first)))).toBe(true)
  }
  await restart
  expect(await run.append({ ...batchOf(301, 'end'), end: 'done' }, { keep: 60_000 })).toBe(true)
  const all = [...numbers(1, 300).map(String), 'end']
  for (const watcher of watchers) await eventually(() => watcher.texts).toEqual(all)
  expect(textsOf(await run.read(0))).toEqual(all)
  expect(await b.store.find(id)).toMatchObject({ epoch: run.epoch, last: 301, end: 'done' })
})

test('a batch whose response is lost is stored once', async () => {
  const proxy = await startProxy(broker.port)
  const [a, b] = [await openRuns(proxy.port, 'a'), await openRuns(broker.port, 'b')]
  const run = await startRun(a.store, id)
  const watcher = await follow(b.store, id, run.epoch)
  for (const [at, end] of [undefined, 'done' as const].entries()) {
    proxy.mute()
    const appended = run.append({ ...batchOf(2 * at + 1, 'x', 'y'), end }, { keep: 60_000 })
    await eventually(async () => (await b.store.find(id))?.last).toBe(2 * at + 2)
    proxy.cut()
    expect(await appended).toBe(true)
    // The server may have failed before it published the batch to the watchers.
    await eventually(() => watcher.interruptions).toBe(at + 1)
  }
  expect(textsOf(await run.read(0))).toEqual(['x', 'y', 'x', 'y'])
})

test('a start whose response is lost starts the run once', async () => {
  const proxy = await startProxy(broker.port)
  const [a, b] = [await openRuns(proxy.port, 'a'), await openRuns(broker.port, 'b')]
  await a.store.find(id)
  proxy.mute()
  const started = a.store.start(id, 'me', 60_000)
  await eventually(() => b.store.find(id)).toBeDefined()
  proxy.cut()
  const { epoch, isNew } = await started
  expect([epoch, isNew]).toEqual([(await b.store.find(id))?.epoch, true])
  expect(await a.store.append(id, epoch, batchOf(1, 'a'), { evictBefore: 0 }, NEVER)).toBe(true)
})

test('a batch that another process has refuted during an outage is refused', async () => {
  const proxy = await startCuttableProxy(broker.port)
  const [a, b] = [await openRuns(proxy.port, 'a'), await openRuns(broker.port, 'b')]
  const run = await startRun(a.store, id)
  await run.append(batchOf(1, 'a'))
  proxy.cut()
  const appended = run.append(batchOf(2, 'late'))
  const lost = { ...batchOf(2, 'lost'), end: 'lost' as const }
  expect(await b.store.append(id, run.epoch, lost, { evictBefore: 0, keep: 60_000 }, NEVER)).toBe(true)
  proxy.restore()
  expect(await appended).toBe(false)
  expect(textsOf(await run.read(0))).toEqual(['a', 'lost'])
})

test('appends and reads wait during an outage until they are aborted', async () => {
  const proxy = await startCuttableProxy(broker.port)
  const { store } = await openRuns(proxy.port, 'a')
  const run = await startRun(store, id)
  await run.append(batchOf(1, 'a'))
  proxy.cut()
  const abort = new AbortController()
  const work = [
    run.append(batchOf(2, 'b'), {}, abort.signal),
    store.read(id, run.epoch, { number: 0 }, 1e6, abort.signal),
  ]
  const settled = Promise.allSettled(work)
  const read = run.read(0)
  abort.abort('gone')
  expect(await settled).toEqual([1, 2].map(() => ({ status: 'rejected', reason: 'gone' })))
  proxy.restore()
  expect(textsOf(await read)).toEqual(['a'])
})

test('other requests reject after a few seconds of an outage, and succeed after it', async () => {
  const proxy = await startCuttableProxy(broker.port)
  const { store } = await openRuns(proxy.port, 'a')
  const run = await startRun(store, id)
  proxy.cut()
  const failed = await Promise.allSettled([
    store.start(id, 'me', 60_000),
    store.find(id),
    store.remove(id),
    store.renew(),
    store.requestStop('me', id, run.epoch),
    store.isAlive('me'),
    store.isWatched(id, run.epoch),
  ])
  for (const each of failed) expect(each).toMatchObject({ reason: { code: 'ERR_SSE_STORE' } })
  proxy.restore()
  expect(await store.find(id)).toMatchObject({ epoch: run.epoch })
})

test('a watcher that was cut off is notified once it is subscribed again', async () => {
  const proxy = await startCuttableProxy(broker.port)
  const [a, b] = [await openRuns(broker.port, 'a'), await openRuns(proxy.port, 'b')]
  const run = await startRun(a.store, id)
  const watcher = await follow(b.store, id, run.epoch)
  proxy.cut()
  await run.append(batchOf(1, 'a'))
  const early = b.store.watch(id, run.epoch, { onBatch: () => {}, onInterruption: () => {} })
  expect(early.ready).toBeUndefined()
  const late = b.store.watch('another', run.epoch, { onBatch: () => {}, onInterruption: () => {} })
  expect(watcher.texts).toEqual([])
  proxy.restore()
  await late.ready
  await eventually(() => watcher.texts).toEqual(['a'])
  expect(watcher.interruptions).toBe(1)
  await run.append(batchOf(2, 'b'))
  await eventually(() => watcher.texts).toEqual(['a', 'b'])
})

test('an owner that does not respond is not alive, unless the own connection does not respond either', async () => {
  const [near, far] = [await startProxy(broker.port), await startProxy(broker.port)]
  const [owner, other] = [await openRuns(near.port, 'frozen'), await openRuns(far.port, 'other')]
  await owner.store.renew()
  expect(await other.store.isAlive('frozen')).toBe(true)
  near.silence()
  expect(await other.store.isAlive('frozen')).toBe(false)
  await other.store.requestStop('frozen', id, 'x')
  far.silence()
  await expect(other.store.isAlive('frozen')).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
})

test('an owner that reconnects later than another process is not reported as dead', async () => {
  using time = holdClock()
  const proxy = await startCuttableProxy(broker.port)
  const [owner, other] = [await openRuns(proxy.port, 'late'), await openRuns(broker.port, 'early')]
  await owner.store.renew()
  const isAlive = async () => other.store.isAlive('late')
  proxy.cut()
  await eventually(isAlive).toBe(false)
  await broker.stop()
  await broker.start()
  // Resolves after the reconnect.
  await other.store.requestStop('late', id, 'x')
  await expect(isAlive()).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
  proxy.restore()
  await eventually(() => isAlive().catch(() => 'unknown')).toBe(true)
  proxy.cut()
  await eventually(() => isAlive().catch(() => 'unknown')).toBe('unknown')
  time.advance(5_000)
  expect(await isAlive()).toBe(false)
})

test('a run ends if its stream is deleted, and the stream is created again', async () => {
  const [a, b] = [await openRuns(broker.port, 'a'), await openRuns(broker.port, 'b')]
  const run = await startRun(a.store, id)
  await run.append(batchOf(1, 'a'))
  await manager.streams.delete('spillway-runs')
  expect(await run.append(batchOf(2, 'b'))).toBe(false)
  expect(await b.store.find(id)).toBeUndefined()
  expect(await run.read(0)).toBeUndefined()
  const again = await startRun(b.store, id)
  expect(again.epoch).not.toBe(run.epoch)
  expect(await again.append(batchOf(1, 'c'))).toBe(true)
})
