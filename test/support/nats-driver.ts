import { setMaxListeners } from 'node:events'
import { jetstream } from '@nats-io/jetstream'
import { onTestFinished } from 'vitest'
import type { RecentLimits } from '../../src/stores/broker/driver.ts'
import type { NatsConnection } from '../../src/stores/nats/client.ts'
import { JetStreamDriver } from '../../src/stores/nats/jetstream-driver.ts'

/** A signal that is never aborted, for any number of reads. */
export const { signal: NEVER } = new AbortController()
setMaxListeners(0, NEVER)

interface DriverOptions extends Partial<RecentLimits> {
  readonly stream: string
  readonly maxEvents?: number
  /** The connection for replays. Default: `connection`. */
  readonly replays?: NatsConnection
}

/** Opens a driver on a stream, and records its deliveries. The driver is closed after the test. */
export async function openDriver(connection: NatsConnection, options: DriverOptions) {
  const { stream, maxEvents, replays, entries = 1, bytes = 1e6 } = options
  const delivered: string[] = []
  const states: string[] = []
  const settings = { maxEvents: maxEvents ?? 100_000, storage: 'memory', idempotencyWindow: 60_000 } as const
  const plan = { stream, subjectPrefix: stream, publishTimeout: 30_000, requested: {}, settings }
  const driver = new JetStreamDriver(clientOf(connection), plan, replays && clientOf(replays))
  onTestFinished(() => driver.close())
  const newest = await driver.open(
    {
      _onEntries: (stored) => void delivered.push(...stored.map(({ id }) => id)),
      _onLoss: (position) => void delivered.push(`lost up to ${position}`),
      _onState: (state) => void states.push(state),
    },
    { entries, bytes },
  )
  /** Returns the position of a sequence. */
  const at = (sequence: number) => `${newest.split('-')[0]}-${sequence}`
  return { driver, newest, delivered, states, at }
}

/** Counts the requests of a process in the text that it sends through a proxy. */
export class RequestCount {
  readonly #counts = new Map<string, number>()

  readonly count = (text: string): void => {
    for (const [, kind = ''] of text.matchAll(/^PUB \$JS\.API\.([A-Z.]+)\./gm)) {
      this.#counts.set(kind, this.of(kind) + 1)
    }
  }

  of(kind: string): number {
    return this.#counts.get(kind) ?? 0
  }

  reset(): void {
    this.#counts.clear()
  }

  get all(): Record<string, number> {
    return Object.fromEntries(this.#counts)
  }
}

function clientOf(connection: NatsConnection) {
  const client = jetstream(connection)
  return { connection, jetstream: client, manager: client.jetstreamManager(false) }
}
