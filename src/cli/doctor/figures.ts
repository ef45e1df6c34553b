/** Returns a time as a report shows it: `12 ms`, `1.5 s`, or `none` if it is undefined. */
export function timeText(ms: number | undefined): string {
  if (ms === undefined) return 'none'
  return ms < 999.5 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}

/** Returns a number with its noun: `1 event`, `2 events`. */
export function countText(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
