import type { LogEntry } from '../log-entry.ts'
import type { Compare } from './driver.ts'
import type { PageLimits, SegmentPage } from './segment.ts'

/** Returns the pages of single channels as one, up to where all of them are complete. */
export function mergePages(pages: readonly SegmentPage[], limits: PageLimits, compare: Compare): SegmentPage {
  const upTo = pages.map((page) => page.upTo).reduce((a, b) => (compare(a, b) <= 0 ? a : b))
  const all = pages
    .flatMap(({ entries }) => entries)
    .filter(({ id }) => compare(id, upTo) <= 0)
    .sort((a, b) => compare(a.id, b.id))
  const entries = within(all, limits)
  return {
    entries,
    upTo: entries.length < all.length ? (entries.at(-1)?.id as string) : upTo,
    // The pages hold no entries of other channels.
    scannedEntries: entries.length,
    scannedBytes: entries.reduce((sum, { size }) => sum + size, 0),
  }
}

function within(entries: readonly LogEntry[], limits: PageLimits): readonly LogEntry[] {
  let bytes = 0
  const end = entries.findIndex(({ size }, at) => {
    bytes += size
    return at > 0 && (at === limits.entries || bytes > limits.bytes)
  })
  return end === -1 ? entries : entries.slice(0, end)
}
