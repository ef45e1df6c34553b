import { clock, type TimerTarget } from '../../../scheduler/clock.ts'
import { withDeadline } from '../../broker/deadline.ts'
import type { RunOwner } from '../../run-store.ts'
import type { Ask } from '../stream-reads.ts'
import type { RunKeys } from './run-keys.ts'
import { RELEASE, RENEW } from './run-scripts.ts'
import type { Subscriber, Subscription, Subscriptions } from './subscriptions.ts'

// How long after a renewal the process counts as alive, as a part of its lease. The next renewal follows after a sixth.
const TIME_TO_LIVE = 0.4

/** Registers this process, and receives the requests of others to end runs. Idle while the process runs no sources. */
export class RunPresence implements Subscriber, TimerTarget {
  readonly #keys: readonly [key: string, absent: string]
  readonly #owner: RunOwner
  readonly #lease: number
  readonly #subscriptions: Subscriptions
  #subscription: Subscription | undefined

  /** `lease` in ms. */
  constructor(keys: RunKeys, owner: RunOwner, lease: number, subscriptions: Subscriptions) {
    this.#keys = [keys.owner(owner.name), keys.absent]
    this.#owner = owner
    this.#lease = lease
    this.#subscriptions = subscriptions
  }

  /** Renews the lease. Resolves once requests are received. Rejects if that takes longer than `timeout` ms. */
  async renew(ask: Ask, timeout: number): Promise<void> {
    this.#subscription ??= this.#subscriptions.subscribe(this.#keys[0], this)
    clock.schedule(this, clock.read() + this.#lease)
    await RENEW.runOn(ask, this.#keys, [String(Math.ceil(this.#lease * TIME_TO_LIVE))])
    const { ready } = this.#subscription
    if (ready) await withDeadline(performance.now() + timeout, ready)
  }

  /** Ends the lease, if there is one. */
  async end(ask: Ask): Promise<void> {
    if (this.#subscription) await RELEASE.runOn(ask, this.#keys, [])
  }

  close(): void {
    clock.cancel(this)
    this.#subscription?.close()
    this.#subscription = undefined
  }

  onMessage(text: string): void {
    const [epoch = ''] = text.split(' ', 1)
    this.#owner.onStop(text.slice(epoch.length + 1), epoch)
  }

  // The sender of a request that was not received repeats it.
  onInterruption(): void {}

  /** @internal Called when the lease has expired, because the process runs no sources. */
  _onTimer(): void {
    this.close()
  }
}

/** Returns the message that requests the end of a run. */
export function encodeStop(id: string, epoch: string): string {
  return `${epoch} ${id}`
}
