import type { StoredBatch } from '../stores/run-store.ts'
import { entriesOf, type RunEntry, type RunIdentity } from './run-entry.ts'

/** Entries after a position, oldest first. */
export interface RunPage {
  readonly entries: readonly RunEntry[]
  /** Whether entries before the first one were evicted. */
  readonly isIncomplete: boolean
}

/** Returned for a removed run. */
export type Removed = 'removed'

/** Joins neighbouring entries. */
export type Compact = (run: RunIdentity, entries: readonly RunEntry[]) => readonly RunEntry[]

export const EMPTY_PAGE: RunPage = { entries: [], isIncomplete: false }

/** Returns the entries of batches after a number. */
export function pageOf(
  run: RunIdentity,
  batches: readonly StoredBatch[],
  after: number,
  compact: Compact | undefined,
): RunPage {
  const isIncomplete = batches[0] !== undefined && batches[0].first > after + 1
  const entries = batches.flatMap((batch) => entriesOf(run, batch, after))
  return { entries: entries.length > 1 && compact ? compact(run, entries) : entries, isIncomplete }
}
