import type { LogEntry } from '../log-entry.ts'

/** The limits of one page for a client. */
export interface PageLimits {
  readonly entries: number
  /** Bytes on the wire. The first entry may be larger. */
  readonly bytes: number
}

/** Returns the first entries within the limits, and whether there are no more. */
export function takeWithin(
  all: Iterable<LogEntry>,
  limits: PageLimits,
): { entries: LogEntry[]; isAll: boolean } {
  const entries: LogEntry[] = []
  let bytes = 0
  for (const entry of all) {
    bytes += entry.size
    const isFull = entries.length === limits.entries || bytes > limits.bytes
    if (isFull && entries.length > 0) return { entries, isAll: false }
    entries.push(entry)
  }
  return { entries, isAll: true }
}
