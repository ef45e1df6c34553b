import { Frame } from '../event/frame.ts'
import type { Format } from '../formats/format.ts'
import type { LogEntry } from '../stores/log-entry.ts'
import type { FrameBatch, SharedBatch } from '../stream/attachments.ts'
import { MAX_WRITE } from '../stream/backlog.ts'

/** Consecutive entries of one channel, at most as many as fit in one write. */
export class Batch implements SharedBatch {
  readonly channel: string
  readonly entries: LogEntry[] = []
  /** The id of the newest entry. */
  lastId = ''
  /** How many deliveries of its entries a filter hid. */
  filtered = 0
  /** How many deliveries were left to a replay. */
  deferred = 0
  #room = MAX_WRITE
  // For each format that a subscriber has.
  readonly #encoded: EncodedBatch[] = []

  constructor(channel: string) {
    this.channel = channel
  }

  get length(): number {
    return this.entries.length
  }

  in(format: Format): FrameBatch {
    for (const present of this.#encoded) if (present.format === format) return present
    const encoded = new EncodedBatch(this.entries, format)
    this.#encoded.push(encoded)
    return encoded
  }

  hasRoomFor({ size }: LogEntry): boolean {
    return size <= this.#room
  }

  /** Leaves the delivery to one client to its replay, which reads the channels in `unread`, or all channels. */
  defer(unread: Set<string> | undefined): void {
    unread?.add(this.channel)
    this.deferred += this.length
  }

  push(entry: LogEntry): void {
    this.entries.push(entry)
    this.lastId = entry.id
    this.#room -= entry.size
  }
}

/** A batch in one format. */
class EncodedBatch implements FrameBatch {
  readonly format: Format
  readonly #entries: readonly LogEntry[]
  #frames: readonly Frame[] | undefined
  #joined: Frame | undefined

  constructor(entries: readonly LogEntry[], format: Format) {
    this.format = format
    this.#entries = entries
  }

  get frames(): readonly Frame[] {
    this.#frames ??= this.#entries.map((entry) => entry.frameIn(this.format))
    return this.#frames
  }

  get joined(): Frame {
    this.#joined ??= this.frames.length === 1 ? (this.frames[0] as Frame) : Frame.join(this.frames)
    return this.#joined
  }
}

/** Returns the batches of some entries in their order. */
export function toBatches(entries: readonly LogEntry[]): Batch[] {
  const batches: Batch[] = []
  for (const entry of entries) {
    const last = batches.at(-1)
    const isSame = last?.channel === entry.channel && last.hasRoomFor(entry)
    const batch = isSame ? last : new Batch(entry.channel)
    if (batch !== last) batches.push(batch)
    batch.push(entry)
  }
  return batches
}
