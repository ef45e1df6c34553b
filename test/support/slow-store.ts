import type { EventStore, History, Page, StoreListener, StoreReader } from '../../src/stores/event-store.ts'
import type { LogEntry, Publication } from '../../src/stores/log-entry.ts'
import type { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { nextTurn } from './streams.ts'

/**
 * A memory store that behaves like a store on a broker. A read takes some turns and covers a few consecutive entries,
 * maybe none of the requested channels. With 0 turns it behaves like a memory store.
 */
export class SlowStore implements EventStore {
  /** All entries ever appended. */
  readonly entries: LogEntry[] = []
  /** Called for each entry before the hub receives it. */
  onEntry: () => void = () => {}
  readonly #store: MemoryStore
  readonly #turns: number
  readonly #inRow: number
  readonly #isLate: boolean
  #pending = 0
  #listener: StoreListener | undefined
  // The position of the last entry that was passed on, while entries are only stored.
  #lostAfter: string | undefined

  /** `isLate`: a page has the entries at the end of the read, and not those at its start. */
  constructor(store: MemoryStore, turns: number, inRow: number, isLate = false) {
    this.#store = store
    this.#turns = turns
    this.#inRow = inRow
    this.#isLate = isLate
  }

  /** Returns the number of an entry from its id: 1, 2, 3, … */
  static numberOf(id: string): number {
    return Number(id.split('-')[1])
  }

  get position(): string {
    return this.#lostAfter ?? this.#store.position
  }

  /** Whether a page or an append is pending. */
  get isBusy(): boolean {
    return this.#pending > 0
  }

  /** Whether entries are stored and not passed on. */
  get isDisconnected(): boolean {
    return this.#lostAfter !== undefined
  }

  open(listener: StoreListener): void {
    this.#listener = listener
    this.#store.open({
      onEntry: (entry) => {
        this.entries.push(entry)
        this.onEntry()
        if (this.#lostAfter === undefined) listener.onEntry(entry)
      },
      onLoss: () => listener.onLoss(),
    })
  }

  /** Stores further entries without passing them on. */
  disconnect(): void {
    this.#lostAfter ??= this.#store.position
  }

  /** Reports the loss of the entries since `disconnect`. They can be read. Returns the number of the newest one. */
  reconnect(): number {
    const isLoss = this.#lostAfter !== undefined && this.#lostAfter !== this.#store.position
    this.#lostAfter = undefined
    if (isLoss) this.#listener?.onLoss()
    return isLoss ? this.entries.length : 0
  }

  // Each append takes the same number of turns, so their order is kept.
  async append(publication: Publication): Promise<string> {
    await this.#wait()
    return this.#store.append(publication)
  }

  read(
    channels: readonly string[],
    after: string,
    limit: number,
    reader?: StoreReader,
  ): Page | Promise<Page> {
    const page = this.#passedOn(this.#store.read(channels, after, limit, reader))
    const isEnd = page !== 'gap' && page.entries.length === 0
    if (this.#turns === 0 || isEnd) return page
    const row = () => (page === 'gap' ? page : this.#row(channels, after, limit, reader?.room))
    const early = row()
    return this.#wait().then(() => (this.#isLate ? row() : early))
  }

  compare(a: string, b: string): number {
    return this.#store.compare(a, b)
  }

  history(channels: readonly string[], last: number): History | Promise<History> {
    const find = () => this.#store.history(channels, last)
    return this.#turns === 0 ? find() : this.#wait().then(find)
  }

  staleness(position: string, channels: readonly string[]): number {
    return this.#store.staleness(position, channels)
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  /** Returns the part of a page that was passed on. */
  #passedOn(page: Page): Page {
    const { position } = this
    if (page === 'gap' || this.compare(page.upTo, position) <= 0) return page
    return { entries: page.entries.filter(({ id }) => this.compare(id, position) <= 0), upTo: position }
  }

  #row(channels: readonly string[], after: string, limit: number, room = Number.POSITIVE_INFINITY): Page {
    const start = SlowStore.numberOf(after)
    const end = Math.min(start + this.#inRow, SlowStore.numberOf(this.position))
    const row = this.entries.slice(start, end)
    const all = row.filter(({ channel }) => channels.includes(channel)).slice(0, limit)
    let bytes = 0
    const entries = all.filter(({ size }, i) => {
      bytes += size
      return i === 0 || bytes <= room
    })
    const isCut = entries.length === limit || entries.length < all.length
    const last = isCut ? entries.at(-1) : row.at(-1)
    return { entries, upTo: (last as LogEntry).id }
  }

  async #wait(): Promise<void> {
    this.#pending += 1
    for (let turn = 0; turn < this.#turns; turn++) await nextTurn()
    this.#pending -= 1
  }
}
