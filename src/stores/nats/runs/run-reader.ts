import { lastNumberOf } from '../../run-batch.ts'
import type { RunPosition, StoredBatch } from '../../run-store.ts'
import type { ConnectionMonitor } from '../connection-monitor.ts'
import { TransientError } from '../errors.ts'
import type { PulledMessages } from '../pull.ts'
import type { ReadConsumer, ReadConsumers } from '../read-consumers.ts'
import { retry } from '../retry.ts'
import { type StreamMessage, streamMessageOf } from '../stream-message.ts'
import { batchOf, decodeRecord, placeOf, sequenceAt, startOf } from './run-record.ts'
import type { RunStream } from './run-stream.ts'

// The maximum number of messages of one request.
const MAX_MESSAGES = 1_000

/** A read of a run. */
interface Request {
  readonly subject: string
  readonly epoch: string
  /** The number of the last event that the client has received. */
  readonly number: number
  readonly bytes: number
  readonly signal: AbortSignal
}

interface Page {
  readonly batches: readonly StoredBatch[]
  /** The sequence after which the consumer continues, or undefined if it cannot. */
  readonly next?: number | undefined
}

/** Reads the stored batches of runs. */
export class RunReader {
  readonly #stream: RunStream
  readonly #connection: ConnectionMonitor
  readonly #consumers: ReadConsumers

  constructor(stream: RunStream, connection: ConnectionMonitor, consumers: ReadConsumers) {
    this.#stream = stream
    this.#connection = connection
    this.#consumers = consumers
  }

  read(
    id: string,
    epoch: string,
    after: RunPosition,
    bytes: number,
    signal: AbortSignal,
  ): Promise<readonly StoredBatch[] | undefined> {
    return retry(this.#connection, () => this.#read(id, epoch, after, bytes, signal), signal)
  }

  async #read(
    id: string,
    epoch: string,
    after: RunPosition,
    bytes: number,
    signal: AbortSignal,
  ): Promise<readonly StoredBatch[] | undefined> {
    const last = await this.#stream.last(id)
    if (last?.record?.epoch !== epoch) return undefined
    const { record, sequence } = last
    const { number } = after
    if (lastNumberOf(record) <= number) return []
    // Most clients that reconnect miss at most the newest batch.
    if (record.first <= number + 1) return [batchOf(record, sequence)]
    const request = { subject: this.#stream.subjectOf(id), epoch, number, bytes, signal }
    const place = sequenceAt(after.place) ?? 0
    const start = startOf(epoch)
    const isUsable = place > start && place <= sequence
    const batches =
      (isUsable && (await this.#readAt(request, place))) || (await this.#readFrom(request, start))
    if (batches.length > 0) return batches
    throw new TransientError('messages of the run were removed')
  }

  /** Reads at an untrusted place. Returns undefined if the next event is not found there. */
  async #readAt(request: Request, place: number): Promise<readonly StoredBatch[] | undefined> {
    const kept = this.#consumers.take({ subject: request.subject, after: place })
    const next = kept && (await this.#readWith(kept, request))
    if (isNext(next, request)) return next
    const batches = await this.#readFrom(request, place - 1)
    return isNext(batches, request) ? batches : undefined
  }

  async #readFrom(request: Request, after: number): Promise<readonly StoredBatch[]> {
    const { subject, signal } = request
    return this.#readWith(await this.#consumers.create({ after, subject }, signal), request)
  }

  async #readWith(consumer: ReadConsumer, request: Request): Promise<readonly StoredBatch[]> {
    let next: number | undefined
    try {
      const page = await this.#pull(consumer, request)
      next = page.next
      return page.batches
    } finally {
      if (next === undefined) this.#consumers.remove(consumer)
      else this.#consumers.keep(consumer, { subject: request.subject, after: next })
    }
  }

  /** Pulls messages up to the first ones after the number. */
  async #pull(consumer: ReadConsumer, request: Request): Promise<Page> {
    for (;;) {
      const { bytes, signal } = request
      const { messages, reason } = await consumer.pull({ messages: MAX_MESSAGES, bytes }, signal)
      const stored = messages.map(streamMessageOf)
      const batches = batchesOf(stored, request)
      const newest = stored.at(-1)?.sequence
      if (batches.length > 0) {
        const isWhole = newest !== undefined && batches.at(-1)?.place === placeOf(newest)
        return { batches, next: isWhole && isOpen(reason) ? newest : undefined }
      }
      // The messages were removed or evicted meanwhile, unless the consumer began after the newest one.
      if (!isOpen(reason)) return { batches }
    }
  }
}

/** Returns the batches that have events after the number, up to the first gap between them. */
function batchesOf(messages: readonly StreamMessage[], { epoch, number }: Request): StoredBatch[] {
  const batches: StoredBatch[] = []
  for (const { payload, sequence } of messages) {
    const record = decodeRecord(payload, sequence)
    if (record?.epoch !== epoch || lastNumberOf(record) <= number) continue
    const before = batches.at(-1)
    if (before && record.first !== lastNumberOf(before) + 1) break
    batches.push(batchOf(record, sequence))
  }
  return batches
}

/** Whether batches begin at most one event after the number. */
function isNext(batches: readonly StoredBatch[] | undefined, { number }: Request): boolean {
  const [first] = batches ?? []
  return first !== undefined && first.first <= number + 1
}

function isOpen(reason: PulledMessages['reason']): boolean {
  return reason === 'limit' || reason === 'size'
}
