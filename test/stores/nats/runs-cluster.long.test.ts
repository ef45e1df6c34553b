import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { jetstreamRuns, type NatsConnection } from '../../../src/stores/nats/index.ts'
import type { RunStore } from '../../../src/stores/run-store.ts'
import type { Broker } from '../../support/brokers.ts'
import { startNatsCluster } from '../../support/nats-cluster.ts'
import { NEVER } from '../../support/nats-driver.ts'
import { eventually, numbers } from '../../support/nats-hub.ts'
import { batchOf, follow, startRun, textsOf } from '../../support/nats-runs.ts'
import { runStoreContract } from '../run-store-contract.ts'

let brokers: Broker[]
let runs = 0
let id = ''

beforeAll(async () => {
  brokers = await startNatsCluster(3)
  const { store } = await open(0)
  // Waits for the servers to choose a leader.
  await vi.waitFor(() => store.find('none'), 50_000)
  return () => Promise.all(brokers.map((broker) => broker.end()))
})

beforeEach(() => {
  id = `run-${++runs}`
})

// On one server, because the others learn of a subscription a moment later.
runStoreContract(
  'jetstreamRuns in a cluster',
  () => async () => jetstreamRuns(await connectTo(0), { replicas: 3 }),
)

test('one of two processes ends a run, at the same time on two servers', async () => {
  const [a, b] = [await open(0), await open(1)]
  const ends: boolean[][] = []
  for (let round = 0; round < 200; round++) {
    const run = await startRun(a.store, `${id}-${round}`)
    await run.append(batchOf(1, 'a'))
    const lost = { ...batchOf(2, 'lost'), end: 'lost' as const }
    const results = await Promise.all([
      run.append({ ...batchOf(2, 'end'), end: 'done' }, { keep: 60_000 }),
      b.store.append(run.id, run.epoch, lost, { evictBefore: 0, keep: 60_000 }, NEVER),
    ])
    ends.push(results)
  }
  expect(ends.filter(([x, y]) => x === y)).toEqual([])
})

test('one of two processes starts a run after the end of another one, at the same time on two servers', async () => {
  const [a, b] = [await open(0), await open(1)]
  for (let round = 0; round < 20; round++) {
    const run = await startRun(a.store, `${id}-${round}`)
    await run.append({ ...batchOf(1, 'end'), end: 'done' }, { keep: 0 })
    // The processes may differ by the time of a response.
    for (const { store } of [b, a]) await eventually(() => store.find(run.id)).toBeUndefined()
    const started = await Promise.all([a, b].map(({ store }) => store.start(run.id, 'me', 60_000)))
    expect(started.filter(({ isNew }) => isNew)).toHaveLength(1)
    expect(started[0]?.epoch).toBe(started[1]?.epoch)
    expect(started[0]?.epoch).not.toBe(run.epoch)
  }
})

test('a watcher is ready once no later batch of another server is missed', async () => {
  const [a, b, c] = [await open(0), await open(1), await open(2)]
  for (let round = 0; round < 50; round++) {
    const run = await startRun(a.store, `${id}-${round}`)
    const received: string[] = []
    for (const { store } of [a, b, c]) {
      const watch = store.watch(run.id, run.epoch, {
        onBatch: (batch) => received.push(...(textsOf([batch]) ?? [])),
        onInterruption: () => {},
      })
      await watch.ready
    }
    await run.append(batchOf(1, 'a'))
    await eventually(() => received).toEqual(['a', 'a', 'a'])
  }
})

test('watchers on other servers receive each batch once if the leader of the stream is killed', async () => {
  const [a, b, c] = [await open(0), await open(1), await open(2)]
  const run = await startRun(a.store, id)
  const watchers = await Promise.all([a, b, c].map(({ store }) => follow(store, id, run.epoch)))
  const manager = await jetstreamManager(a.connection)
  let restarted: Promise<void> | undefined
  for (let first = 1; first <= 300; first++) {
    if (first === 100) {
      const { cluster } = await manager.streams.info('spillway-runs')
      const leader = brokers.find(({ port }) => cluster?.leader === `server-${port}`)
      restarted = leader?.stop('SIGKILL').then(() => leader.start())
    }
    expect(await run.append(batchOf(first, String(first)))).toBe(true)
  }
  await restarted
  const all = numbers(1, 300).map(String)
  for (const { texts } of watchers) await eventually(() => texts).toEqual(all)
  // A page may be read from a server that has not stored all messages yet.
  const late = await follow(c.store, id, run.epoch)
  expect(late.texts).toEqual(all)
})

/** Opens a connection to one server of the cluster, which is closed after the test or its hooks. */
async function connectTo(server: number): Promise<NatsConnection> {
  const servers = brokers.map(({ port }) => `127.0.0.1:${port}`)
  const connection = await connect({
    servers: [...servers.slice(server), ...servers.slice(0, server)],
    noRandomize: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 20,
    reconnectJitter: 0,
  })
  afterTest(() => connection.close())
  return connection
}

/** Opens the store of a process on one server of the cluster. */
async function open(server: number): Promise<{ store: RunStore; connection: NatsConnection }> {
  const connection = await connectTo(server)
  const store = jetstreamRuns(connection, { replicas: 3 })
  store.serve({ name: `owner${server}`, onStop: () => {} }, 2_000)
  afterTest(() => store.close())
  return { store, connection }
}

// A hook runs outside a test. The brokers end after it.
function afterTest(work: () => Promise<void> | void): void {
  try {
    onTestFinished(work)
  } catch {}
}
