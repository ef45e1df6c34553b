import type { ReceivedEvent } from './engine.ts'

/** The most that a tab keeps for others, in characters. An entry counts as 100 more than its text. */
const MAX_SIZE = 250_000

/** An event of the shared stream. */
export interface Entry {
  /** No two leaders assign the same position. */
  readonly at: number
  readonly event: ReceivedEvent
}

/** The newest part of the shared stream. Each tab keeps it, so that each can lead. */
export class Line {
  /** Position before the oldest entry. 0 as long as the tab has no place in the stream. */
  base = 0
  kept: Entry[] = []
  /** The last event id at the end of the line. */
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

  /** Appends an entry, and evicts old ones. The newest is kept whatever its size. */
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
