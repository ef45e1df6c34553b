import type { StoredEntry, StoredRange } from '../broker/driver.ts'
import { compareEntryIds } from './entry-id.ts'
import { StaleServerError } from './errors.ts'
import { toEntries, toText } from './replies.ts'
import type { Ask, Missing, PageLimits, SearchStep, StreamReads } from './stream-reads.ts'
import { FIRST, LAST_ID, NEWEST, RANGE, SEARCH } from './stream-scripts.ts'

// The maximum number of bytes that one script searches, so that Redis is not blocked for long.
const SEARCH_BYTES = 4 * 1024 * 1024

/** Reads with scripts, so that Redis sends nothing but the result. */
export class ScriptedReads implements StreamReads {
  readonly #key: string

  constructor(key: string) {
    this.#key = key
  }

  async range(ask: Ask, after: string, upTo: string, limits: PageLimits): Promise<StoredRange | Missing> {
    const reply = await RANGE.run(ask, this.#key, after, upTo, ...argsOf(limits))
    if (!Array.isArray(reply)) return { first: toText(reply) || undefined }
    const entries = toEntries(reply[0])
    return { entries, end: endOf(entries, upTo, toText(reply[1])) }
  }

  async find(ask: Ask, position: string): Promise<true | Missing> {
    const range = await this.range(ask, position, position, { entries: 0, bytes: 0 })
    return 'entries' in range || range
  }

  async newest(ask: Ask, from: string, limits: PageLimits): Promise<StoredEntry[]> {
    return toEntries(await NEWEST.run(ask, this.#key, from, ...argsOf(limits)))
  }

  async search(
    ask: Ask,
    from: string,
    channels: ReadonlySet<string>,
    left: number,
    limit: number,
  ): Promise<SearchStep> {
    const limits = [String(left), ...argsOf({ entries: limit, bytes: SEARCH_BYTES })]
    const reply = (await SEARCH.run(ask, this.#key, from, ...limits, ...channels)) as unknown[]
    const [end = '', id = '', missing, searched] = reply.map(toText)
    return {
      end: end as SearchStep['end'],
      id: id || undefined,
      left: Number(missing),
      searched: Number(searched),
    }
  }

  async first(ask: Ask): Promise<{ id: string; isNoop: boolean } | undefined> {
    const [id = '', isNoop] = ((await FIRST.run(ask, this.#key)) as unknown[]).map(toText)
    return id === '' ? undefined : { id, isNoop: isNoop === '1' }
  }

  async lastId(ask: Ask): Promise<string | undefined> {
    return toText(await LAST_ID.run(ask, this.#key))
  }
}

/**
 * Returns where a range ends. `newest` is the newest id of the server if the range has all of its entries up to `upTo`,
 * and otherwise an empty string.
 */
export function endOf(entries: readonly StoredEntry[], upTo: string, newest: string): string {
  if (newest === '') return entries.at(-1)?.id ?? upTo
  if (compareEntryIds(newest, upTo) < 0) throw new StaleServerError()
  return upTo
}

function argsOf({ entries, bytes }: PageLimits): string[] {
  return [entries, bytes].map((limit) => String(Math.min(limit, Number.MAX_SAFE_INTEGER)))
}
