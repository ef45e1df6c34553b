import type { CountsDriver, CountUpdate } from '../../src/stores/broker/counts-driver.ts'

/** The counts in a broker, by key and process. */
export type CountsBroker = Map<string, Map<CountsDriver, number>>

/** A driver whose broker is a map that several drivers may share. */
export class FakeCountsDriver implements CountsDriver {
  readonly keep = 60_000
  readonly updates: Array<readonly CountUpdate[]> = []
  readonly signals: AbortSignal[] = []
  /** How updates fail: before they are executed, with a lost response, or by the abort of their signal. */
  failure: 'before' | 'after' | 'hangs' | undefined
  /** How long the broker takes for each command, in ms. */
  delay = 0
  isClosed = false
  /** The keys that the broker cannot count, with their errors. */
  readonly broken = new Map<string, Error>()
  forget = () => {}
  readonly #broker: CountsBroker

  constructor(broker: CountsBroker = new Map()) {
    this.#broker = broker
  }

  open(onForgotten: () => void): void {
    this.forget = onForgotten
  }

  async update(updates: readonly CountUpdate[], signal: AbortSignal): Promise<ReadonlyArray<number | Error>> {
    this.updates.push(updates)
    this.signals.push(signal)
    if (this.failure === 'hangs')
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    if (this.delay > 0) await new Promise((resolve) => setTimeout(resolve, this.delay))
    if (this.failure === 'before') throw new Error('The broker is down.')
    const counts = updates.map((update) => this.broken.get(update.key) ?? this.#store(update))
    if (this.failure === 'after') throw new Error('The response was lost.')
    return counts
  }

  async close(): Promise<void> {
    this.isClosed = true
  }

  /** Returns the count of this process for a key, as it is stored. */
  stored(key: string): number {
    return this.#broker.get(key)?.get(this) ?? 0
  }

  #store({ key, held, wanted, max }: CountUpdate): number {
    const counts = this.#broker.get(key) ?? new Map<CountsDriver, number>()
    const others = [...counts].reduce((sum, [driver, count]) => sum + (driver === this ? 0 : count), 0)
    const count = wanted === held ? held : Math.max(held, Math.min(wanted, max - others))
    this.#broker.set(key, counts.set(this, count))
    return count
  }
}
