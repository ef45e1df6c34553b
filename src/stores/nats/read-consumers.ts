import { randomUUID } from 'node:crypto'
import { OrderedMap } from '../../ordered-map.ts'
import { closedError } from '../broker/errors.ts'
import { ByteBudget } from './byte-budget.ts'
import type { NatsClient } from './client.ts'
import type { ConnectionMonitor } from './connection-monitor.ts'
import { consumerAfter } from './consumer.ts'
import { Pull, type PulledMessages, type PullLimits } from './pull.ts'

// How long a consumer is kept for the next page, and after how long without a pull the server removes one, in ms.
const KEEP_FOR = 2_000
const INACTIVE_THRESHOLD = 10_000
const MAX_KEPT = 16
// How long a request may take, in ms.
const TIMEOUT = 5_000
const REMOVAL_TIMEOUT = 1_000
// A server closes a connection for which it queues more than 64 MiB, so only this much is requested at a time.
const MAX_REQUESTED = 16 * 1024 * 1024
const MAX_PULL = 8 * 1024 * 1024
const DEFAULT_MAX_PAYLOAD = 1024 * 1024

/** The messages of a read. */
export interface Selection {
  /** The sequence before the first message. */
  readonly after: number
  /** Default: all subjects of the stream. */
  readonly subject?: string | undefined
  readonly isHeadersOnly?: boolean
}

/** A consumer from which pages are pulled, one after the other. */
export class ReadConsumer {
  readonly #consumers: ReadConsumers
  readonly #client: NatsClient
  readonly #stream: string
  readonly #name = `spillway_${randomUUID()}`
  /** When the server created it, in ms since 1970. */
  created = 0
  #pulls = 0
  #isRequested = false
  #removal: Promise<unknown> | undefined

  constructor(consumers: ReadConsumers, client: NatsClient, stream: string) {
    this.#consumers = consumers
    this.#client = client
    this.#stream = stream
  }

  async create({ after, subject, isHeadersOnly }: Selection): Promise<void> {
    const { consumers } = await this.#client.manager
    this.#isRequested = true
    const { created } = await consumers.add(this.#stream, {
      ...consumerAfter(after, this.#name),
      inactive_threshold: INACTIVE_THRESHOLD * 1_000_000,
      ...(subject !== undefined && { filter_subject: subject }),
      ...(isHeadersOnly && { headers_only: true }),
    })
    this.created = Date.parse(created)
  }

  /** Returns the next messages. A message that is larger than `bytes` is returned alone. */
  async pull(
    { messages, bytes }: PullLimits & { bytes: number },
    signal: AbortSignal,
  ): Promise<PulledMessages> {
    const limit = Math.min(bytes, MAX_PULL)
    const pulled = await this.#consumers._schedule(limit, signal, () =>
      this.#pull({ messages, bytes: limit }),
    )
    if (pulled.reason !== 'size' || pulled.messages.length > 0) return pulled
    const largest = this.#client.connection.info?.max_payload ?? DEFAULT_MAX_PAYLOAD
    return this.#consumers._schedule(largest, signal, () => this.#pull({ messages: 1 }))
  }

  async remove(): Promise<void> {
    if (!this.#isRequested) return
    this.#removal ??= this.#client.manager
      .then(({ consumers }) => consumers.delete(this.#stream, this.#name))
      .catch(() => {})
    await this.#removal
  }

  #pull(limits: PullLimits): Pull {
    const { connection, jetstream } = this.#client
    this.#pulls += 1
    const subject = `${jetstream.apiPrefix}.CONSUMER.MSG.NEXT.${this.#stream}.${this.#name}`
    return new Pull(connection, subject, `${this.#name}_${this.#pulls}`, limits)
  }
}

/**
 * The consumers of reads. One is kept for a short time, because the next page often begins where the last one ended.
 */
export class ReadConsumers {
  readonly #client: NatsClient
  readonly #connection: ConnectionMonitor
  readonly #stream: string
  readonly #open = new Set<ReadConsumer>()
  readonly #kept = new OrderedMap<string, { consumer: ReadConsumer; timer: NodeJS.Timeout }>()
  // The bytes that the server may be sending.
  readonly #requested = new ByteBudget(MAX_REQUESTED)
  #isClosed = false

  constructor(client: NatsClient, connection: ConnectionMonitor, stream: string) {
    this.#client = client
    this.#connection = connection
    this.#stream = stream
  }

  /** Creates a consumer, which the caller MUST keep or remove. */
  async create(selection: Selection, signal: AbortSignal): Promise<ReadConsumer> {
    if (this.#isClosed) throw closedError()
    const consumer = new ReadConsumer(this, this.#client, this.#stream)
    this.#open.add(consumer)
    try {
      await this.#connection.whileConnected(() => consumer.create(selection), TIMEOUT, signal)
      return consumer
    } catch (error) {
      this.remove(consumer)
      throw error
    }
  }

  /** Keeps a consumer for the messages after a sequence, or removes it after the close. */
  keep(consumer: ReadConsumer, { subject, after }: Selection): void {
    if (this.#isClosed) return void this.remove(consumer)
    const key = keyOf(subject, after)
    this.#drop(key)
    const timer = setTimeout(() => this.#drop(key), KEEP_FOR)
    timer.unref()
    this.#kept.set(key, { consumer, timer })
    if (this.#kept.size > MAX_KEPT) this.#drop(this.#kept.oldest as string)
  }

  /** Returns the consumer that was kept for these messages. */
  take({ subject, after }: Selection): ReadConsumer | undefined {
    const key = keyOf(subject, after)
    const kept = this.#kept.get(key)
    clearTimeout(kept?.timer)
    this.#kept.delete(key)
    return kept?.consumer
  }

  /** Removes a consumer. Without a connection, the server does so later. */
  remove(consumer: ReadConsumer): void {
    const untrack = () => void this.#open.delete(consumer)
    if (this.#connection.isUp) consumer.remove().then(untrack)
    else untrack()
  }

  /** Removes the consumers that are kept. */
  clear(): void {
    for (const key of [...this.#kept.keys()]) this.#drop(key)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.clear()
    const removals = () => Promise.all([...this.#open].map((consumer) => consumer.remove()))
    await this.#connection.whileConnected(removals, REMOVAL_TIMEOUT).catch(() => {})
  }

  /** @internal Pulls once the server has no more than `MAX_REQUESTED` bytes to send, in the order of the calls. */
  async _schedule(bytes: number, signal: AbortSignal, start: () => Pull): Promise<PulledMessages> {
    await this.#requested.acquire(bytes, signal)
    try {
      return await this.#whilePulling(signal, start)
    } finally {
      this.#requested.release(bytes)
    }
  }

  async #whilePulling(signal: AbortSignal, start: () => Pull): Promise<PulledMessages> {
    let pull: Pull | undefined
    const request = async () => {
      pull = start()
      return pull.result
    }
    return this.#connection.whileConnected(request, undefined, signal).finally(() => pull?.cancel())
  }

  #drop(key: string): void {
    const kept = this.#kept.get(key)
    if (!kept) return
    clearTimeout(kept.timer)
    this.#kept.delete(key)
    this.remove(kept.consumer)
  }
}

function keyOf(subject = '', after: number): string {
  return `${after} ${subject}`
}
