import type { ReceivedEvent } from './engine.ts'

/** The maximum that a tab keeps for others, in characters. An entry counts as 100 more than its text. */
const MAX_SIZE = 250_000

/** An event of the shared stream. */
export interface Entry {
  /** Each position is assigned by only one leader. */
  readonly at: number
  readonly event: ReceivedEvent
}

/** The newest entries of the shared stream. Each tab keeps them, so that each can become the leader. */
export class SharedEntries {
  /** Position before the oldest entry. 0 until the tab has a position in the stream. */
  base = 0
  kept: Entry[] = []
  /** The last event id at the end of the entries. */
  cursor: string
  #size = 0

  constructor(cursor: string) {
    this.cursor = cursor
  }

  /** Position of the last entry. */
  get end(): number {
    return this.kept.at(-1)?.at ?? this.base
  }

  /** Replaces all entries. */
  reset(base: number, entries: readonly Entry[], cursor: string): void {
    this.base = base
    this.kept = []
    this.#size = 0
    for (const entry of entries) this.append(entry)
    this.cursor = cursor
  }

  /** Appends an entry, and evicts old ones. The newest entry is kept regardless of its size. */
  append(entry: Entry): void {
    const { kept } = this
    kept.push(entry)
    this.cursor = entry.event.id
    this.#size += sizeOf(entry)
    while (this.#size > MAX_SIZE && kept[1]) {
      const oldest = kept.shift() as Entry
      this.base = oldest.at
      this.#size -= sizeOf(oldest)
    }
  }
}

function sizeOf({ event: { event, id, data } }: Entry): number {
  return `${event}${id}${data}`.length + 100
}
