import { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { Runs } from '../../src/runs/runs.ts'
import type { EventStore } from '../../src/stores/event-store.ts'
import { jetstreamRuns, jetstreamStore } from '../../src/stores/nats/index.ts'
import { redisRuns, redisStore } from '../../src/stores/redis/index.ts'
import type { RunStore } from '../../src/stores/run-store.ts'
import { startNats, startRedis } from '../support/brokers.ts'
import { eventsOf } from '../support/hub.ts'
import { openConnection } from '../support/nats-hub.ts'
import { fakeStream } from '../support/streams.ts'

const LINGER = 200

type OpenStores = () => Promise<{ store: EventStore; runs: RunStore }>

const brokers: Array<[name: string, start: () => Promise<OpenStores>]> = [
  [
    'Redis',
    async () => {
      const { port } = await startRedis()
      const client = new Redis(port, '127.0.0.1')
      onTestFinished(() => client.disconnect())
      return async () => ({ store: redisStore(client), runs: redisRuns(client) })
    },
  ],
  [
    'JetStream',
    async () => {
      const { port } = await startNats()
      const connection = await openConnection(port)
      return async () => ({ store: jetstreamStore(connection), runs: jetstreamRuns(connection) })
    },
  ],
]

/** Counts the sources that run in any process. */
class Witness {
  running = 0
  most = 0
  readonly owners: string[] = []

  async *source(name: string, signal: AbortSignal): AsyncGenerator<{ data: string }, void> {
    this.running += 1
    this.most = Math.max(this.most, this.running)
    this.owners.push(name)
    try {
      yield { data: `from ${name}` }
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    } finally {
      this.running -= 1
    }
  }
}

describe.each(brokers)('the source of a channel on %s', (_name, start) => {
  test('runs in one process of all, while any process has subscribers, and moves when it is shut down', async () => {
    const openStores = await start()
    const witness = new Witness()
    const open = async (name: string) => {
      const stores = await openStores()
      const runs = new Runs({ store: stores.runs, lease: 3_000 })
      const hub = new Hub({ store: stores.store, runs })
      const source = (signal: AbortSignal) => witness.source(name, signal)
      const shutDown = async () => {
        await hub.shutdown({ grace: 0 })
        await runs.shutdown({ grace: 0 })
      }
      onTestFinished(shutDown)
      return { channel: hub.channel('a', { source, linger: LINGER }), shutDown }
    }
    const [one, two] = [await open('one'), await open('two')]
    const first = fakeStream()
    const unsubscribe = one.channel.subscribe(first.stream)
    await expect.poll(() => eventsOf(first.transport), { timeout: 20_000 }).toEqual(['message from one'])
    const second = fakeStream()
    two.channel.subscribe(second.stream)
    unsubscribe()
    // Its events still arrive in the other process, which takes over when the first one is shut down.
    await one.shutDown()
    await expect.poll(() => eventsOf(second.transport), { timeout: 20_000 }).toContain('message from two')
    expect(witness.owners).toEqual(['one', 'two'])
    second.stream.destroy()
    await expect.poll(() => witness.running, { timeout: 20_000 }).toBe(0)
    expect(witness.most).toBe(1)
  })
})
