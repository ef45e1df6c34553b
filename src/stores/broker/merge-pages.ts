import type { Compare } from './driver.ts'
import { type PageLimits, takeWithin } from './page-limits.ts'
import type { SegmentPage } from './segment.ts'

/** Returns the pages of single channels as one, up to where all of them are complete. */
export function mergePages(pages: readonly SegmentPage[], limits: PageLimits, compare: Compare): SegmentPage {
  const upTo = pages.map((page) => page.upTo).reduce((a, b) => (compare(a, b) <= 0 ? a : b))
  const all = pages
    .flatMap(({ entries }) => entries)
    .filter(({ id }) => compare(id, upTo) <= 0)
    .sort((a, b) => compare(a.id, b.id))
  const { entries, isAll } = takeWithin(all, limits)
  return {
    entries,
    upTo: isAll ? upTo : (entries.at(-1)?.id as string),
    // The pages hold no entries of other channels.
    scannedEntries: entries.length,
    scannedBytes: entries.reduce((sum, { size }) => sum + size, 0),
  }
}
