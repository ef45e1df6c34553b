import { checkOptions, isCount, MAX_COUNT as MAX, optionsOf } from '../../check-options.ts'
import { clock } from '../../scheduler/clock.ts'
import { BaseStore } from '../base-store.ts'
import type { EventStore, History, Page, StoreReader } from '../event-store.ts'
import { LogEntry, type Publication } from '../log-entry.ts'
import { scopedKey } from '../scoped-key.ts'
import type { Limits, Slot } from './entry-queue.ts'
import { IdempotencyKeys } from './idempotency-keys.ts'
import { largestOf, RetentionWindow } from './retention-window.ts'

/** Limits of the events that are kept for replays. The limit that is reached first applies. */
export interface StoreLimits {
  /** How many events are kept. */
  maxEvents?: number | undefined
  /**
   * The approximate bytes of memory that the events occupy: the data of each event twice, and 1 000 bytes of objects. A
   * larger event is delivered but not kept. It counts as evicted, with the older events of its channel.
   */
  maxBytes?: number | undefined
  /** How long an event is kept, in ms. */
  maxAge?: number | undefined
}

/** Default: 10 000 events and 16 MiB, of any age. */
export interface MemoryStoreOptions extends StoreLimits {
  /** Limits of each channel, so that a busy one does not evict the events of others. Default: none. */
  perChannel?: StoreLimits | undefined
  /** How long an idempotency key counts, in ms. At most `maxEvents` keys are remembered. Default 600 000. */
  idempotencyWindow?: number | undefined
}

const NO_LIMITS: Limits = { maxEvents: MAX, maxBytes: MAX, maxAge: MAX }
const DEFAULTS = { maxEvents: 10_000, maxBytes: 16 * 1024 * 1024, maxAge: MAX, idempotencyWindow: 600_000 }

const LIMIT_CHECKS = { maxEvents: isCount, maxBytes: isCount, maxAge: isCount }
const CHECKS = { ...LIMIT_CHECKS, perChannel: optionsOf(LIMIT_CHECKS), idempotencyWindow: isCount }

/** Returns a store for a hub of a single process. Throws `SseError` `ERR_SSE_OPTION`. */
export function memoryStore(options?: MemoryStoreOptions): EventStore {
  return new MemoryStore(options)
}

/** An id is `epoch-sequence`. Each store has its own random epoch, so that ids from before a restart are a gap. */
export class MemoryStore extends BaseStore implements EventStore {
  readonly #epoch = newEpoch()
  readonly #window: RetentionWindow
  // The newest entry of each conflated key.
  readonly #newest = new Map<string, Slot>()
  readonly #idempotencyKeys: IdempotencyKeys
  #sequence = 0
  // All clients that start at this position share the string.
  #position = this.#id(0)
  #isClosed = false

  /** Throws `SseError` `ERR_SSE_OPTION`. */
  constructor(options: MemoryStoreOptions = {}) {
    super()
    const settings = { ...DEFAULTS, ...checkOptions(options, CHECKS) }
    const perChannel = { ...NO_LIMITS, ...checkOptions(settings.perChannel ?? {}, LIMIT_CHECKS) }
    this.#window = new RetentionWindow(settings, perChannel, (slot) => this.#onRemoved(slot))
    this.#idempotencyKeys = new IdempotencyKeys(settings.idempotencyWindow, settings.maxEvents)
  }

  get position(): string {
    return this.#position
  }

  // Appends in one step. Only the result is asynchronous.
  async append(publication: Publication): Promise<string> {
    const { channel, idempotencyKey, conflate } = publication
    // After a blocked event loop, `clock.now` is old, and the entry would be evicted early.
    clock.read()
    const key = idempotencyKey === undefined ? undefined : scopedKey(channel, idempotencyKey)
    const known = key === undefined ? undefined : this.#idempotencyKeys.idOf(key)
    if (known !== undefined) return known
    const entry = new LogEntry(this.#id(this.#sequence + 1), publication)
    this.#sequence += 1
    this.#position = entry.id
    if (key !== undefined) this.#idempotencyKeys.add(key, entry.id)
    this.#keep(entry, conflate ? entry.key : undefined)
    this.listener?.onEntry(entry)
    return entry.id
  }

  read(channels: readonly string[], after: string, limit: number, reader?: StoreReader): Page {
    const sequence = this.#isClosed ? undefined : this.#sequenceOf(after)
    // Most clients that reconnect have missed nothing.
    if (sequence === this.#sequence) return { entries: [], upTo: after }
    clock.read()
    this.#window.trim(channels)
    if (sequence === undefined || this.#hasEvicted(channels, sequence, reader)) return 'gap'
    return this.#pageOf(this.#window.after(channels, sequence), limit, reader?.room)
  }

  compare(a: string, b: string): number {
    return (this.#sequenceOf(a) ?? 0) - (this.#sequenceOf(b) ?? 0)
  }

  history(channels: readonly string[], last: number): History {
    this.#window.trim(channels)
    const evictedUpTo = largestOf(channels, (channel) => this.#window.evictedUpTo(channel))
    const first = last === Number.POSITIVE_INFINITY ? undefined : this.#newestOf(channels, last)
    // A position before an evicted event would be a gap.
    const isStored = first !== undefined && first.sequence > evictedUpTo
    return {
      after: this.#id(isStored ? first.sequence - 1 : evictedUpTo),
      isIncomplete: !isStored && evictedUpTo > 0,
    }
  }

  staleness(position: string, channels: readonly string[]): number {
    const sequence = this.#sequenceOf(position)
    return sequence === undefined ? 1 : this.#window.staleness(channels, sequence)
  }

  async close(): Promise<void> {
    this.#isClosed = true
  }

  #id(sequence: number): string {
    return `${this.#epoch}-${sequence}`
  }

  /** Returns the sequence number of an id, or undefined if the id is not one of this store. */
  #sequenceOf(id: string): number | undefined {
    const sequence = Number(id.slice(this.#epoch.length + 1))
    const isOurs = Number.isSafeInteger(sequence) && sequence <= this.#sequence && this.#id(sequence) === id
    return isOurs ? sequence : undefined
  }

  /**
   * Whether an entry after a sequence number was evicted. For a reader, entries before the start of a channel do not
   * count.
   */
  #hasEvicted(channels: readonly string[], sequence: number, reader?: StoreReader): boolean {
    if (!this.#window.hasEvicted(channels, sequence)) return false
    if (!reader?.startOf) return true
    return channels.some((channel) => {
      const start = this.#sequenceOf(reader.startOf?.(channel) ?? '') ?? 0
      return this.#window.evictedUpTo(channel) > Math.max(sequence, start)
    })
  }

  /** Returns the first entries for which there is room, and at least one if there are any. */
  #pageOf(slots: Iterable<Slot>, limit: number, room = Number.POSITIVE_INFINITY): Page {
    const entries: LogEntry[] = []
    let left = room
    for (const slot of slots) {
      const entry = slot.entry as LogEntry
      const last = entries.at(-1)
      if (last && (entries.length === limit || entry.size > left)) return { entries, upTo: last.id }
      entries.push(entry)
      left -= entry.size
    }
    return { entries, upTo: this.position }
  }

  /** Returns the oldest of the `count` newest slots of some channels, or undefined if there are fewer. */
  #newestOf(channels: readonly string[], count: number): Slot | undefined {
    let left = count
    for (const slot of this.#window.newest(channels)) {
      left -= 1
      if (left === 0) return slot
    }
    return undefined
  }

  #keep(entry: LogEntry, key: string | undefined): void {
    const { channel, footprint: bytes } = entry
    const slot: Slot = { channel, sequence: this.#sequence, time: clock.now, bytes, key, entry }
    // An entry over a limit must be evicted before a newer one can replace it, so that it is a gap.
    this.#window.trim([channel])
    const isKept = this.#window.push(slot)
    if (isKept && key !== undefined) this.#replace(key, slot)
    this.#window.trim([channel])
  }

  // Removes the replaced entry. It does not count as evicted, because clients receive the newer one instead.
  #replace(key: string, slot: Slot): void {
    const replaced = this.#newest.get(key)
    if (replaced) this.#window.remove(replaced)
    this.#newest.set(key, slot)
  }

  #onRemoved({ key }: Slot): void {
    if (key !== undefined) this.#newest.delete(key)
  }
}

// Returns twelve digits of a random UUID, because not every runtime has `node:crypto`.
function newEpoch(): string {
  return crypto.randomUUID().slice(-12)
}
