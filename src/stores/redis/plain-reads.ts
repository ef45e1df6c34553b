import { NOOP_RECORD, type StoredEntry, type StoredRange } from '../broker/driver.ts'
import { toEntries, toRecord, toText } from './replies.ts'
import { endOf } from './scripted-reads.ts'
import type { Ask, Missing, PageLimits, SearchStep, StreamReads } from './stream-reads.ts'

interface Chunks {
  readonly command: 'XRANGE' | 'XREVRANGE'
  readonly from: string
  readonly to: string
}

// The maximum number of entries of one command, and of its bytes if all entries have the size of the last ones.
const MAX_COUNT = 64
const CHUNK_BYTES = 256 * 1024
// The maximum number of bytes of one step of a search.
const SEARCH_BYTES = 4 * 1024 * 1024

/**
 * Reads with plain commands. The size of an entry is known only once Redis has sent it, so each command reads few
 * entries.
 */
export class PlainReads implements StreamReads {
  readonly #key: string

  constructor(key: string) {
    this.#key = key
  }

  async range(ask: Ask, after: string, upTo: string, limits: PageLimits): Promise<StoredRange | Missing> {
    if ((await this.find(ask, after)) !== true) return { first: undefined }
    const chunks: Chunks = { command: 'XRANGE', from: `(${after}`, to: upTo }
    const { entries, isEnd } = await this.#page(ask, chunks, limits)
    // A stream is trimmed from its beginning. If it still has the position, no entry after it was removed between
    // chunks.
    if ((await this.find(ask, after)) !== true) return { first: undefined }
    const isWhole = (entries.at(-1)?.id ?? after) === upTo
    const newest = isEnd && !isWhole ? ((await this.lastId(ask)) ?? '0-0') : ''
    return { entries, end: endOf(entries, upTo, newest) }
  }

  // Returns no id of the first entry, because Redis would send it with its record.
  async find(ask: Ask, position: string): Promise<true | Missing> {
    const [entry] = toEntries(await ask('XRANGE', this.#key, position, position))
    return entry ? true : { first: undefined }
  }

  async newest(ask: Ask, from: string, limits: PageLimits): Promise<StoredEntry[]> {
    return (await this.#page(ask, { command: 'XREVRANGE', from, to: '-' }, limits)).entries
  }

  async search(
    ask: Ask,
    from: string,
    channels: ReadonlySet<string>,
    left: number,
    limit: number,
  ): Promise<SearchStep> {
    let missing = left
    let searched = 0
    let oldest: StoredEntry | undefined
    const limits = { entries: limit + 1, bytes: SEARCH_BYTES }
    const { entries, isEnd } = await this.#page(ask, { command: 'XREVRANGE', from, to: '-' }, limits)
    for (const entry of entries) {
      if (missing === 0) return { end: 'found', id: entry.id, left: 0, searched }
      if (searched === limit) break
      oldest = entry
      searched += 1
      if (channels.has(entry.channel)) missing -= 1
    }
    const begins = oldest?.record === NOOP_RECORD ? 'first' : 'trimmed'
    return {
      end: isEnd && searched === entries.length ? begins : 'more',
      id: oldest?.id,
      left: missing,
      searched,
    }
  }

  async first(ask: Ask): Promise<{ id: string; isNoop: boolean } | undefined> {
    const [entry] = toEntries(await ask('XRANGE', this.#key, '-', '+', 'COUNT', '1'))
    return entry && { id: entry.id, isNoop: entry.record === NOOP_RECORD }
  }

  async lastId(ask: Ask): Promise<string | undefined> {
    return toText(toRecord(await ask('XINFO', 'STREAM', this.#key))['last-generated-id'])
  }

  async #page(ask: Ask, { command, from, to }: Chunks, limits: PageLimits) {
    const entries: StoredEntry[] = []
    let left = limits.bytes
    for (let count = 1, bound = from; entries.length < limits.entries && left > 0; ) {
      const chunk = toEntries(await ask(command, this.#key, bound, to, 'COUNT', String(count)))
      for (const entry of chunk) {
        left -= sizeOf(entry)
        if (entries.length === limits.entries || (left < 0 && entries.length > 0))
          return { entries, isEnd: false }
        entries.push(entry)
      }
      if (chunk.length < count) return { entries, isEnd: true }
      bound = `(${chunk.at(-1)?.id}`
      count = nextCount(chunk, Math.min(left, CHUNK_BYTES))
    }
    return { entries, isEnd: false }
  }
}

/** Returns how many entries are read next. Doubles the count, unless entries of the largest size would not fit. */
function nextCount(chunk: readonly StoredEntry[], bytes: number): number {
  const largest = Math.max(1, ...chunk.map(sizeOf))
  return Math.max(1, Math.min(2 * chunk.length, Math.floor(bytes / largest), MAX_COUNT))
}

function sizeOf({ channel, record }: StoredEntry): number {
  return Buffer.byteLength(channel) + Buffer.byteLength(record)
}
