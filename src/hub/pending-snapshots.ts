import type { Source } from '../event/source.ts'
import type { SseStream } from '../stream/stream.ts'
import type { OwnOptions, Snapshot } from './subscribe-options.ts'

/** The snapshots that a client was not sent yet. A function that several subscriptions share is called once for them. */
export class PendingSnapshots {
  readonly #all = new Map<Snapshot, OwnOptions[]>()

  get isEmpty(): boolean {
    return this.#all.size === 0
  }

  add(snapshot: Snapshot, options: OwnOptions): void {
    const present = this.#all.get(snapshot)
    if (present) present.push(options)
    else this.#all.set(snapshot, [options])
  }

  /** Sends those that are pending now. Resolves with false if `sendAll` did; then all of them stay pending. */
  async send(stream: SseStream, sendAll: (events: Source) => Promise<boolean>): Promise<boolean> {
    const present = [...this.#all]
    for (const [snapshot, options] of present) {
      // Subscriptions that are added from now on get it with the next call, because it may lack their channels.
      this.#all.set(snapshot, [])
      // Not one of a subscription that was removed.
      if (options.every(({ isRemoved }) => isRemoved)) continue
      const events = await snapshot(stream, undefined)
      if (events && !(await sendAll(events))) return false
    }
    for (const [snapshot] of present) if (this.#all.get(snapshot)?.length === 0) this.#all.delete(snapshot)
    return true
  }
}
