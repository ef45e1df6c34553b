import { setTimeout as pause } from 'node:timers/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import type { RunStore } from '../../src/stores/run-store.ts'
import { onJetStream, onRedis } from '../clients/run-brokers.ts'
import { type Broker, startNats, startRedis } from '../support/brokers.ts'
import { type ChildProgram, startProgram } from '../support/child-program.ts'
import { closed, openRuns, runEventsOf } from '../support/runs.ts'
import { fakeStream } from '../support/streams.ts'

const LEASE = 1_000
const LONG_LEASE = 600_000
// Longer than the lease.
const STOPPED = 3 * LEASE

const OPEN = {
  redis: `
    import { createClient } from 'redis'
    import { redisRuns } from 'spillway/redis'
    const client = createClient({ url: 'redis://127.0.0.1:' + process.env.PORT }).on('error', () => {})
    const store = redisRuns(client, { key: process.env.NAME })`,
  jetstream: `
    import { connect } from '@nats-io/transport-node'
    import { jetstreamRuns } from 'spillway/nats'
    const store = jetstreamRuns(await connect({ port: process.env.PORT }), { streamName: process.env.NAME })`,
}

// Runs a source that yields two events, and one for each SIGUSR2. Prints what it reports of the run.
const OWNER = `
  import { subscribe } from 'node:diagnostics_channel'
  import { Runs } from 'spillway'
  const runs = new Runs({ store, lease: Number(process.env.LEASE) })
  runs.on('error', (error) => console.log('error', error.code))
  subscribe('spillway:run:end', ({ id, reason }) => console.log('end', id, reason))
  let notify
  process.on('SIGUSR2', () => notify?.())
  const run = await runs.start('run', async function* (signal) {
    try {
      yield* [{ data: 'a' }, { data: 'b' }]
      while (!signal.aborted) {
        await new Promise((resolve) => {
          notify = resolve
          signal.addEventListener('abort', resolve)
        })
        console.log('yields')
        yield { data: 'late' }
      }
    } finally {
      console.log('closed')
    }
  })
  console.log('started')
  console.log('ended', await run.whenEnded())
  setInterval(() => {}, 1_000)`

let names = 0

describe.each([
  ['Redis', 'redis', startRedis, onRedis],
  ['JetStream', 'jetstream', startNats, onJetStream],
] as const)('a process with runs on %s that is stopped and continued', (_name, kind, start, connect) => {
  let broker: Broker
  beforeAll(async () => {
    broker = await start()
    return () => broker.end()
  })

  async function startOwner(lease = LEASE) {
    const name = `stopped-${++names}`
    const env = { PORT: String(broker.port), NAME: name, LEASE: String(lease) }
    const owner = startProgram(OPEN[kind] + OWNER, env)
    await owner.printed('started')
    const open = async () => connect(broker.port, name)()
    const store = await open()
    await expect.poll(async () => (await store.find('run'))?.last).toBe(2)
    return { owner, store, open }
  }

  it('after another process has ended its run reports that, and appends nothing', async () => {
    const { owner, store, open } = await startOwner()
    const live = await subscribe(await open())
    await expect.poll(() => runEventsOf(live.transport)).toEqual(['message a', 'message b'])
    await owner.freeze()
    expect(await closed(live.stream)).toBe('server')
    const ended = await store.find('run')
    await expectLost(owner)
    expect(await store.find('run')).toEqual(ended)
    for (const { transport } of [live, await subscribeUntilClosed(await open())])
      expect(runEventsOf(transport)).toEqual(['message a', 'message b', 'end {"reason":"lost"}'])
  })

  // Its own clock does not prevent the append.
  it('within its lease, after another process has ended its run, appends nothing', async () => {
    const { owner, store, open } = await startOwner(LONG_LEASE)
    await owner.freeze()
    const { epoch = '', last = 0 } = (await store.find('run')) ?? {}
    const end = {
      first: last + 1,
      events: [{ event: 'end', data: 'ended', isText: true }],
      end: 'lost',
    } as const
    const retention = { evictBefore: 0 }
    expect(await store.append('run', epoch, end, retention, new AbortController().signal)).toBe(true)
    const ended = await store.find('run')
    await expectLost(owner)
    expect(await store.find('run')).toEqual(ended)
    const { transport } = await subscribeUntilClosed(await open())
    expect(runEventsOf(transport)).toEqual(['message a', 'message b', 'end ended'])
  })

  // The store does not prevent the append.
  it('for longer than its lease ends the run itself if no other process has', async () => {
    const { owner, open } = await startOwner()
    await owner.freeze()
    await pause(STOPPED)
    await expectLost(owner)
    const { transport } = await subscribeUntilClosed(await open())
    expect(runEventsOf(transport)).toEqual(['message a', 'message b', 'end {"reason":"lost"}'])
  })
})

/** Subscribes a stream to the run in another process. */
async function subscribe(store: RunStore) {
  const client = fakeStream({ heartbeat: 0 })
  await openRuns({ store, lease: LEASE }).subscribe(client.stream, 'run')
  return client
}

async function subscribeUntilClosed(store: RunStore) {
  const client = await subscribe(store)
  await closed(client.stream)
  return client
}

/** Continues an owner whose source yields at once. Expects that it reports its run as lost, once. */
async function expectLost(owner: ChildProgram): Promise<void> {
  // The signal is pending while the process is stopped.
  owner.child.kill('SIGUSR2')
  owner.thaw()
  expect(await owner.printed('ended')).toBe('lost')
  const reported = owner.lines.filter((line) => !/^(started|yields)/.test(line))
  expect(reported.sort()).toEqual(['closed', 'end run lost', 'ended lost'])
}
