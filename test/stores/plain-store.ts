import { SseError } from '../../src/errors.ts'
import type { EventStore, Page, StoreListener } from '../../src/stores/event-store.ts'
import { LogEntry, type Publication } from '../../src/stores/log-entry.ts'
import type { MemoryStoreOptions, StoreLimits } from '../../src/stores/memory/memory-store.ts'

interface Listed {
  readonly entry: LogEntry
  readonly publication: Publication
  readonly time: number
}

/** The memory store in its plainest form: lists that are filtered from beginning to end. */
export class PlainStore implements EventStore {
  readonly #options: MemoryStoreOptions
  readonly #all: Listed[] = []
  readonly #evicted = new Set<Listed>()
  #kept: Listed[] = []
  #listener: StoreListener | undefined
  #isClosed = false

  constructor(options: MemoryStoreOptions = {}) {
    this.#options = options
  }

  get position(): string {
    return idOf(this.#all.length)
  }

  open(listener: StoreListener): void {
    if (this.#listener) throw new SseError('ERR_SSE_OPTION', 'This store already belongs to a hub.')
    this.#listener = listener
  }

  async append(publication: Publication): Promise<string> {
    const known = this.#known(publication)
    if (known) return known.entry.id
    this.#evict()
    const entry = new LogEntry(idOf(this.#all.length + 1), publication)
    const added = { entry, publication, time: performance.now() }
    this.#all.push(added)
    if (this.#isOversized(entry)) this.#evictChannelOf(added)
    else this.#kept = [...this.#kept.filter((each) => !isReplaced(each, added)), added]
    this.#evict()
    this.#listener?.onEntry(entry)
    return entry.id
  }

  read(channels: readonly string[], after: string, limit: number): Page {
    this.#evict()
    const sequence = this.#all.findIndex(({ entry }) => entry.id === after) + 1
    if (this.#isClosed || (sequence === 0 && after !== idOf(0))) return 'gap'
    const missed = this.#all.slice(sequence).filter(({ entry }) => channels.includes(entry.channel))
    if (missed.some((each) => this.#evicted.has(each))) return 'gap'
    const entries = missed.filter((each) => this.#kept.includes(each)).map(({ entry }) => entry)
    const last = entries[limit - 1]
    return { entries: entries.slice(0, limit), upTo: last ? last.id : this.position }
  }

  async close(): Promise<void> {
    this.#isClosed = true
  }

  #known({ channel, idempotencyKey }: Publication): Listed | undefined {
    const { idempotencyWindow = 600_000, maxEvents = 10_000 } = this.#options
    const keyed = this.#all.filter(({ publication }) => publication.idempotencyKey !== undefined)
    const remembered = keyed
      .slice(-maxEvents)
      .filter(({ time }) => performance.now() - time <= idempotencyWindow)
    const isSame = ({ publication }: Listed) =>
      publication.channel === channel && publication.idempotencyKey === idempotencyKey
    return idempotencyKey === undefined ? undefined : remembered.find(isSame)
  }

  #isOversized({ footprint }: LogEntry): boolean {
    const { maxBytes = Infinity, perChannel } = this.#options
    return footprint > Math.min(maxBytes, perChannel?.maxBytes ?? Infinity)
  }

  #evictChannelOf(added: Listed): void {
    const isOther = ({ entry }: Listed) => entry.channel !== added.entry.channel
    for (const each of [...this.#kept, added]) if (!isOther(each)) this.#evicted.add(each)
    this.#kept = this.#kept.filter(isOther)
  }

  #evict(): void {
    const kept = this.#within(this.#kept)
    for (const each of this.#kept) if (!kept.includes(each)) this.#evicted.add(each)
    this.#kept = kept
  }

  #within(entries: readonly Listed[]): Listed[] {
    const { perChannel = {} } = this.#options
    const channels = new Set(entries.map(({ entry }) => entry.channel))
    const ofOne = (name: string) => entries.filter(({ entry }) => entry.channel === name)
    const own = [...channels].flatMap((name) => newest(ofOne(name), perChannel))
    return newest(
      entries.filter((entry) => own.includes(entry)),
      this.#options,
    )
  }
}

// As long as an id of the memory store, so that events have the same size.
function idOf(sequence: number): string {
  return `plainplain00-${sequence}`
}

function isReplaced({ entry, publication }: Listed, { entry: newer, publication: by }: Listed): boolean {
  return Boolean(publication.conflate && by.conflate) && entry.key === newer.key
}

/** Returns the newest entries that the limits allow. */
function newest(entries: readonly Listed[], limits: StoreLimits): Listed[] {
  const { maxEvents = Infinity, maxBytes = Infinity, maxAge = Infinity } = limits
  const remaining = [...entries]
  const bytes = () => remaining.reduce((sum, { entry }) => sum + entry.footprint, 0)
  const isOverLimit = ({ time }: Listed) =>
    remaining.length > maxEvents || bytes() > maxBytes || performance.now() - time > maxAge
  while (remaining[0] && isOverLimit(remaining[0])) remaining.shift()
  return remaining
}
