import type { Source } from '../event/source.ts'
import type { SseStream } from '../stream/stream.ts'
import type { OwnOptions, Snapshot } from './subscribe-options.ts'

/**
 * The snapshots that are still to be sent to a client. A function that several subscriptions share is called once for
 * them.
 */
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

  /** Removes a subscription. Otherwise, those of a client that does not read would accumulate. */
  remove(options: OwnOptions): void {
    const { snapshot } = options
    if (!snapshot) return
    const left = this.#all.get(snapshot)?.filter((each) => each !== options) ?? []
    if (left.length > 0) this.#all.set(snapshot, left)
    else this.#all.delete(snapshot)
  }

  /** Sends the snapshots that are pending now. Resolves with false if `sendAll` does. Some then stay pending. */
  async send(stream: SseStream, sendAll: (events: Source) => Promise<boolean>): Promise<boolean> {
    const present = [...this.#all]
    for (const [snapshot, options] of present) {
      // A subscription that is added meanwhile gets the snapshot with the next call, because the present one may lack
      // its channels.
      this.#all.set(snapshot, [])
      // A snapshot is not sent if all its subscriptions were removed.
      if (options.every(({ isRemoved }) => isRemoved)) continue
      const events = await snapshot(stream, undefined)
      if (events && !(await sendAll(events))) return false
    }
    for (const [snapshot] of present) if (this.#all.get(snapshot)?.length === 0) this.#all.delete(snapshot)
    return true
  }
}
