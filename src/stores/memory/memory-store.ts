import { between, checkOptions, optionsOf, withDefaults } from '../../check-options.ts'
import { SseError } from '../../errors.ts'
import type { SseEvent } from '../../event/event.ts'
import { clock } from '../../scheduler/clock.ts'
import type { AppendOptions, EventStore, LogEntry, Page, StoreListener } from '../event-store.ts'
import { type Limits, type Slot, scopedKey } from './entry-queue.ts'
import { IdempotencyKeys } from './idempotency-keys.ts'
import { RetentionWindow } from './retention-window.ts'

/** How much is kept to be read again; the limit that is reached first counts. */
export interface StoreLimits {
  maxEvents?: number | undefined
  /** Bytes on the wire. */
  maxBytes?: number | undefined
  /** In ms. */
  maxAge?: number | undefined
}

/** Default: 10 000 events and 16 MiB, of any age. */
export interface MemoryStoreOptions extends StoreLimits {
  /** Limits of each single channel, so that a busy one leaves room for the others. Default: none. */
  perChannel?: StoreLimits | undefined
}

interface MemoryEntry extends Slot {
  /** Undefined when it is gone: the bytes go at once. */
  entry: LogEntry | undefined
  /** Undefined: none was given. */
  readonly idempotencyKey: string | undefined
  /** What a newer entry replaces. Undefined: nothing does. */
  readonly key: string | undefined
}

const MAX = Number.MAX_SAFE_INTEGER
const DEFAULTS: Limits = { maxEvents: 10_000, maxBytes: 16 * 1024 * 1024, maxAge: MAX }
const NO_LIMITS: Limits = { maxEvents: MAX, maxBytes: MAX, maxAge: MAX }

const CHECKS = { maxEvents: between(1, MAX), maxBytes: between(1, MAX), maxAge: between(1, MAX) }

const ALL_CHECKS = { ...CHECKS, perChannel: optionsOf(CHECKS) }

/** Throws `SseError` `ERR_SSE_OPTION`. */
export function memoryStore(options?: MemoryStoreOptions): EventStore {
  return new MemoryStore(options)
}

/** The log of a single process. An id is `epoch-sequence`: a restart begins an epoch of its own. */
export class MemoryStore implements EventStore {
  readonly #epoch = newEpoch()
  readonly #window: RetentionWindow<MemoryEntry>
  readonly #newest = new Map<string, MemoryEntry>()
  readonly #idempotencyKeys: IdempotencyKeys
  #sequence = 0
  #follower: StoreListener | undefined
  #isClosed = false

  /** Throws `SseError` `ERR_SSE_OPTION`. */
  constructor(options: MemoryStoreOptions = {}) {
    checkOptions(options, ALL_CHECKS)
    const { perChannel, ...limits } = options
    const all = withDefaults(limits, DEFAULTS)
    const each = withDefaults(perChannel, NO_LIMITS)
    this.#window = new RetentionWindow(all, each, (evicted) => this.#onRemoved(evicted))
    this.#idempotencyKeys = new IdempotencyKeys(all, each)
  }

  get position(): string {
    return this.#id(this.#sequence)
  }

  open(follower: StoreListener): void {
    if (this.#follower) throw new SseError('ERR_SSE_OPTION', 'A log serves one hub: this one has its hub.')
    this.#follower = follower
  }

  // All of it in one step: only the answer is asynchronous.
  async append(channel: string, event: SseEvent, options: AppendOptions = {}): Promise<string> {
    const key = options.idempotencyKey === undefined ? undefined : scopedKey(channel, options.idempotencyKey)
    // What is overdue is lost before anything can replace it.
    this.#window.trim([channel])
    const published = key === undefined ? undefined : this.#idempotencyKeys.idOf(channel, key)
    if (published !== undefined) return published
    const follower = this.#follower as StoreListener
    const sequence = this.#sequence + 1
    const entry = follower.entry(this.#id(sequence), channel, event, options)
    this.#sequence = sequence
    this.#keep(entry, sequence, options.conflate, key)
    follower.onEntry(entry)
    return entry.id
  }

  read(channels: readonly string[], after: string, limit: number): Page {
    this.#window.trim(channels)
    const sequence = this.#isClosed ? undefined : this.#sequenceOf(after)
    if (sequence === undefined || channels.some((channel) => this.#window.evictedUpTo(channel) > sequence))
      return 'gap'
    const found = [...new Set(channels)].flatMap((channel) => this.#window.after(channel, sequence, limit))
    if (channels.length > 1) found.sort((a, b) => a.sequence - b.sequence)
    const entries = found.slice(0, limit).map(({ entry }) => entry as LogEntry)
    return { entries, upTo: entries.length < limit ? this.position : (entries.at(-1) as LogEntry).id }
  }

  async close(): Promise<void> {
    this.#isClosed = true
  }

  #id(sequence: number): string {
    return `${this.#epoch}-${sequence}`
  }

  /** The place that an id names, if the id is one of this log's. */
  #sequenceOf(id: string): number | undefined {
    const sequence = Number(id.slice(this.#epoch.length + 1))
    const isOurs = Number.isSafeInteger(sequence) && sequence <= this.#sequence && this.#id(sequence) === id
    return isOurs ? sequence : undefined
  }

  #keep(entry: LogEntry, sequence: number, conflate = false, idempotencyKey?: string): void {
    const { channel, frame } = entry
    const key = conflate && frame.key !== undefined ? scopedKey(channel, frame.key) : undefined
    const { size } = frame
    const kept = { channel, sequence, time: clock.now, size, isRemoved: false, entry, idempotencyKey, key }
    this.#idempotencyKeys.add(kept, entry.id)
    this.#window.push(kept)
    if (key !== undefined) this.#replace(key, kept)
    this.#window.trim([channel])
  }

  /** An entry that a newer one has replaced is missed by nobody: it is not evicted. */
  #replace(key: string, kept: MemoryEntry): void {
    const replaced = this.#newest.get(key)
    if (replaced) {
      this.#window.remove(replaced)
      this.#onRemoved(replaced)
    }
    this.#newest.set(key, kept)
  }

  #onRemoved(removed: MemoryEntry): void {
    removed.entry = undefined
    if (removed.key !== undefined) this.#newest.delete(removed.key)
    this.#idempotencyKeys.remove(removed)
  }
}

// Twelve digits of a random UUID: `node:crypto` is not everywhere.
function newEpoch(): string {
  return crypto.randomUUID().slice(-12)
}
