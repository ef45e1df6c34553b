import type { RunWatch, RunWatcher } from '../../run-store.ts'
import type { NatsClient } from '../client.ts'
import type { ConnectionMonitor } from '../connection-monitor.ts'
import type { Subscription } from '../consumer.ts'
import { isTransient } from '../errors.ts'
import { flush } from '../flush.ts'
import type { ProcessRequests } from '../process-requests.ts'
import type { Message } from '../stream-message.ts'
import { batchOf, decodeRecord } from './run-record.ts'

// How long a process that watches a run has for a response, in ms.
const RESPONSE_TIMEOUT = 2_000
// The delay before the subscriptions are confirmed again, in ms.
const RETRY_DELAY = 50

interface Watcher {
  readonly epoch: string
  readonly listener: RunWatcher
}

/** A subscription to the stored batches of a run, which its watchers in this process share. */
interface LiveRun {
  readonly subscription: Subscription
  readonly watchers: Set<Watcher>
  ready: Promise<void> | undefined
}

/**
 * Delivers the stored batches of the watched runs. The server republishes each stored message, so that a watched run
 * needs no consumer, and all runs share the connection.
 */
export class RunWatches {
  readonly #client: NatsClient
  readonly #connection: ConnectionMonitor
  readonly #requests: ProcessRequests
  readonly #reach: () => Promise<void>
  readonly #runs = new Map<string, LiveRun>()
  #confirmed: Promise<void> | undefined

  /** `reach` resolves once the server that stores runs has received all earlier messages. */
  constructor(
    client: NatsClient,
    connection: ConnectionMonitor,
    requests: ProcessRequests,
    reach: () => Promise<void>,
  ) {
    this.#client = client
    this.#requests = requests
    this.#reach = reach
    this.#connection = connection
  }

  watch(subject: string, epoch: string, listener: RunWatcher): RunWatch {
    // A read of the run rejects instead.
    if (this.#connection.isClosed) return { close: () => {} }
    const run = this.#runs.get(subject) ?? this.#subscribe(subject)
    const watcher = { epoch, listener }
    run.watchers.add(watcher)
    const close = () => {
      run.watchers.delete(watcher)
      if (run.watchers.size > 0 || this.#runs.get(subject) !== run) return
      this.#runs.delete(subject)
      run.subscription.unsubscribe()
    }
    return { ready: run.ready, close }
  }

  isWatched(subject: string, epoch: string): Promise<boolean> {
    return this.#requests.isAnswered(subject, epoch, RESPONSE_TIMEOUT)
  }

  /** Notifies all watchers once the subscriptions are in place again, because batches may have been missed. */
  async onReconnect(): Promise<void> {
    if (this.#runs.size === 0) return
    await this.#confirm()
    for (const run of this.#runs.values()) interrupt(run.watchers)
  }

  close(): void {
    for (const { subscription } of this.#runs.values()) subscription.unsubscribe()
    this.#runs.clear()
  }

  #subscribe(subject: string): LiveRun {
    const watchers = new Set<Watcher>()
    const subscription = this.#client.connection.subscribe(subject, {
      callback: (error, message) => {
        if (!error) receive(watchers, message)
      },
    })
    const run: LiveRun = { subscription, watchers, ready: undefined }
    run.ready = this.#confirm().then(() => {
      run.ready = undefined
    })
    this.#runs.set(subject, run)
    return run
  }

  /** Resolves once the server has the present subscriptions. The subscriptions of one turn share a round trip. */
  #confirm(): Promise<void> {
    this.#confirmed ??= Promise.resolve().then(() => {
      this.#confirmed = undefined
      return this.#flush()
    })
    return this.#confirmed
  }

  async #flush(): Promise<void> {
    while (!this.#connection.isClosed) {
      await this.#connection.whenSettled()
      if (await this.#isFlushed()) return
      await this.#connection.pause(RETRY_DELAY)
    }
  }

  async #isFlushed(): Promise<boolean> {
    const { connection } = this.#client
    try {
      await flush(connection, this.#connection)
    } catch {
      return false
    }
    // Another server may store the runs. A permanent error rejects the reads too.
    return (
      !connection.info?.cluster ||
      this.#reach().then(
        () => true,
        (error) => !isTransient(error),
      )
    )
  }
}

function receive(watchers: ReadonlySet<Watcher>, message: Message): void {
  const sequence = Number(message.headers?.get('Nats-Sequence') ?? 0)
  // A message without a sequence was not stored.
  if (sequence > 0) deliver(watchers, message.string(), sequence)
  else if (!message.reply) interrupt(watchers)
  else if ([...watchers].some(({ epoch }) => epoch === message.string())) message.respond()
}

function deliver(watchers: ReadonlySet<Watcher>, payload: string, sequence: number): void {
  const record = decodeRecord(payload, sequence)
  if (!record) return
  const batch = batchOf(record, sequence)
  for (const { epoch, listener } of [...watchers]) {
    // Another run with the same id was started.
    if (record.epoch !== epoch) listener.onInterruption()
    else if (batch.events.length > 0) listener.onBatch(batch)
  }
}

function interrupt(watchers: ReadonlySet<Watcher>): void {
  for (const { listener } of [...watchers]) listener.onInterruption()
}
