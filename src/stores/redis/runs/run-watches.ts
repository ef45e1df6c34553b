import type { RunWatch, RunWatcher, StoredBatch } from '../../run-store.ts'
import { decodeMessage } from './run-record.ts'
import type { Subscriber, Subscription, Subscriptions } from './subscriptions.ts'

/** The watched runs of this process. All watchers of a run share a subscription. */
export class RunWatches {
  readonly #subscriptions: Subscriptions
  readonly #runs = new Map<string, WatchedRun>()

  constructor(subscriptions: Subscriptions) {
    this.#subscriptions = subscriptions
  }

  /** Watches the run with a key. */
  watch(key: string, epoch: string, watcher: RunWatcher): RunWatch {
    const run = this.#runs.get(key) ?? this.#open(key)
    const entry = { epoch, watcher }
    run.watchers.add(entry)
    return {
      ready: run.subscription.ready,
      close: () => {
        if (run.watchers.delete(entry) && run.watchers.size === 0) this.#close(key, run)
      },
    }
  }

  #open(key: string): WatchedRun {
    const run = new WatchedRun((subscriber) => this.#subscriptions.subscribe(key, subscriber))
    this.#runs.set(key, run)
    return run
  }

  #close(key: string, run: WatchedRun): void {
    this.#runs.delete(key)
    run.subscription.close()
  }
}

class WatchedRun implements Subscriber {
  readonly watchers = new Set<{ readonly epoch: string; readonly watcher: RunWatcher }>()
  readonly subscription: Subscription

  constructor(subscribe: (subscriber: Subscriber) => Subscription) {
    this.subscription = subscribe(this)
  }

  onMessage(text: string): void {
    const message = decodeMessage(text)
    // For example, an empty message reports that the run was removed.
    if (message) this.#deliver(message.epoch, message.batch)
    else this.onInterruption()
  }

  onInterruption(): void {
    for (const { watcher } of this.watchers) watcher.onInterruption()
  }

  #deliver(epoch: string, batch: StoredBatch): void {
    for (const each of this.watchers) if (each.epoch === epoch) each.watcher.onBatch(batch)
  }
}
