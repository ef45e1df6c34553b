import { setMaxListeners } from 'node:events'
import type { CountsDriver, CountUpdate } from '../../broker/counts-driver.ts'
import { withSignal } from '../../broker/deadline.ts'
import type { NatsClient } from '../client.ts'
import { ConnectionMonitor } from '../connection-monitor.ts'
import { ProcessRequests } from '../process-requests.ts'
import { retry } from '../retry.ts'
import type { ConfiguredStream } from '../stream-config.ts'
import { CountStream, type Counts, type StoredCounts } from './count-stream.ts'
import { ProcessLiveness } from './process-liveness.ts'

// How long `close` waits for the removal of the counts, in ms. Otherwise, other processes remove them when they need
// room.
const CLOSE_TIMEOUT = 1_000

export interface JetStreamCountsSpec extends ConfiguredStream {
  /** How long a message is kept, in ms. */
  readonly maxAge: number
  /** How long a process without a response counts as alive, in ms. */
  readonly lease: number
}

/**
 * Counts in a stream of JetStream. A message is stored only if it follows the newest one that this process has read or
 * stored.
 */
export class JetStreamCountsDriver implements CountsDriver {
  readonly keep: number
  // Only letters and digits, because it is part of a subject.
  readonly #process = crypto.randomUUID().replaceAll('-', '')
  readonly #monitor: ConnectionMonitor
  readonly #stream: CountStream
  readonly #liveness: ProcessLiveness
  // The newest messages of the keys that this process counts.
  readonly #known = new Map<string, StoredCounts>()
  #onForgotten = () => {}

  constructor(client: NatsClient, spec: JetStreamCountsSpec) {
    this.keep = spec.maxAge
    this.#monitor = new ConnectionMonitor(client.connection, () => this.#onConnectionChange())
    this.#stream = new CountStream(client, this.#monitor, spec)
    const subjectOf = (process: string) => `${spec.subjectPrefix}-process.${process}`
    const requests = new ProcessRequests(client.connection, this.#monitor)
    this.#liveness = new ProcessLiveness(client, requests, spec.lease, subjectOf)
  }

  open(onForgotten: () => void): void {
    this.#onForgotten = onForgotten
  }

  update(updates: readonly CountUpdate[], signal: AbortSignal): Promise<readonly number[]> {
    this.#liveness.serve(this.#process)
    // Each update adds a listener, and Node.js warns of more than 10 listeners.
    setMaxListeners(0, signal)
    const attempt = (update: CountUpdate) => retry(this.#monitor, () => this.#update(update, signal), signal)
    return Promise.all(updates.map(attempt))
  }

  async close(): Promise<void> {
    const updates = [...this.#known.keys()].map((key) => ({ key, held: 0, wanted: 0, max: 0 }))
    await withSignal(CLOSE_TIMEOUT, (signal) => this.update(updates, signal)).catch(() => {})
    this.#liveness.close()
    this.#monitor.close()
  }

  async #update(update: CountUpdate, signal: AbortSignal): Promise<number> {
    const { key, held, wanted } = update
    for (let known = this.#known.get(key); ; known = undefined) {
      signal.throwIfAborted()
      const isFresh = known === undefined
      known ??= await this.#stream.read(key)
      const counts = await this.#countsWithRoom(update, known.counts, isFresh)
      const count = counts.get(this.#process) ?? 0
      // Other processes may have released streams since this process has read the message.
      if (count < wanted && !isFresh) continue
      if (wanted > held && count === known.counts.get(this.#process)) return count
      if (count === 0 && !known.counts.has(this.#process)) return count
      const stored = await this.#stream.replace(key, known, counts)
      if (stored && count > 0) this.#known.set(key, stored)
      else this.#known.delete(key)
      if (stored) return count
    }
  }

  /** Returns the next counts of a key. Checks whether other processes are alive only if there is no room otherwise. */
  async #countsWithRoom(update: CountUpdate, known: Counts, isFresh: boolean): Promise<Counts> {
    const counts = this.#countsAfter(update, known)
    const count = counts.get(this.#process) ?? 0
    if (count === update.wanted || !isFresh) return counts
    const dead = new Set(
      await this.#liveness.deadOf([...known.keys()].filter((each) => each !== this.#process)),
    )
    return this.#countsAfter(update, new Map([...known].filter(([process]) => !dead.has(process))))
  }

  #countsAfter({ held, wanted, max }: CountUpdate, known: Counts): Counts {
    const counts = new Map(known)
    counts.delete(this.#process)
    const others = [...counts.values()].reduce((sum, count) => sum + count, 0)
    const count = wanted === held ? held : Math.max(held, Math.min(wanted, max - others))
    if (count > 0) counts.set(this.#process, count)
    return counts
  }

  // After a reconnect, all counts are stored again, because a server without a copy on disk has lost them.
  #onConnectionChange(): void {
    if (!this.#monitor.isUp) return
    this.#liveness.onReconnect()
    this.#known.clear()
    this.#onForgotten()
  }
}
