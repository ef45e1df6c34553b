import { Frame } from '../event/frame.ts'
import type { Format } from '../formats/format.ts'
import { sizeOf } from '../stores/run-batch.ts'
import type { RunEndReason, RunEvent, RunPosition, StoredBatch } from '../stores/run-store.ts'
import { scopedKey } from '../stores/scoped-key.ts'
import type { FrameBatch, SharedBatch } from '../stream/attachments.ts'
import { MAX_WRITE } from '../stream/backlog.ts'
import { FRAMING } from './recent-batches.ts'
import type { RunIdentity } from './run-entry.ts'
import { eventIdOf } from './run-id.ts'

/**
 * Consecutive events of a run for its live subscribers, about as many as fit into one write. They are encoded without a
 * `RunEntry` for each, because most events are delivered only once.
 */
export class LiveBatch implements SharedBatch {
  readonly run: RunIdentity
  readonly first: number
  readonly place: string | undefined
  /** How the run ended, if its last event is in the batch. */
  end: RunEndReason | undefined
  readonly events: RunEvent[] = []
  #room = MAX_WRITE
  // One for each format of a subscriber.
  readonly #encoded: EncodedBatch[] = []

  /** Contains the events of a stored batch after a number. */
  constructor(run: RunIdentity, batch: StoredBatch, after: number) {
    this.run = run
    this.first = Math.max(batch.first, after + 1)
    this.place = batch.place
    this.end = batch.end
    this.#push(batch, after)
  }

  get length(): number {
    return this.events.length
  }

  get last(): number {
    return this.first + this.events.length - 1
  }

  get position(): RunPosition {
    return { number: this.last, place: this.place }
  }

  /** Adds the events of the next stored batch after a number. Returns false if they do not fit. */
  add(batch: StoredBatch, after: number): boolean {
    if (batch.place !== this.place || this.#room <= 0) return false
    this.#push(batch, after)
    this.end = batch.end
    return true
  }

  in(format: Format): FrameBatch {
    for (const present of this.#encoded) if (present.format === format) return present
    const encoded = new EncodedBatch(this, format)
    this.#encoded.push(encoded)
    return encoded
  }

  #push({ first, events }: StoredBatch, after: number): void {
    for (let at = Math.max(0, after + 1 - first); at < events.length; at++) {
      const event = events[at] as RunEvent
      this.#room -= sizeOf(event) + FRAMING
      this.events.push(event)
    }
  }
}

/** A batch in one format. */
class EncodedBatch implements FrameBatch {
  readonly format: Format
  readonly #batch: LiveBatch
  #frames: readonly Frame[] | undefined
  #joined: Frame | undefined

  constructor(batch: LiveBatch, format: Format) {
    this.#batch = batch
    this.format = format
  }

  get frames(): readonly Frame[] {
    const { events, run } = this.#batch
    this.#frames ??= events.map((event, at) =>
      Frame.of(this.#textOf(event, at), 1, scopedKey(run.id, event.event || 'message')),
    )
    return this.#frames
  }

  // The text is joined, because joining frames would encode each and then copy it.
  get joined(): Frame {
    const { events } = this.#batch
    this.#joined ??= Frame.of(events.map((event, at) => this.#textOf(event, at)).join(''), events.length)
    return this.#joined
  }

  #textOf({ event, retry, data, isText = false }: RunEvent, at: number): string {
    const { run, first, place } = this.#batch
    const id = eventIdOf(run.epoch, { number: first + at, place })
    return this.format.encodeText({ id, event, retry }, data, isText)
  }
}
