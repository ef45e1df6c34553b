// Milliseconds and a number within them, as Redis writes them: `1700000000000-0`.
const ID = /^(0|[1-9]\d{0,14})-(0|[1-9]\d{0,14})$/

/** Whether untrusted text is spelled like the id of an entry. */
export function isEntryId(text: string): boolean {
  return ID.test(text)
}

/** Returns a number below, above or at 0 if entry `a` is before, after or the same as `b`. */
export function compareEntryIds(a: string, b: string): number {
  const length = a.indexOf('-')
  const difference = length - b.indexOf('-')
  // Redis counts in 64 bits, which a number does not hold. Digits of the same length compare like text.
  if (difference !== 0) return difference
  if (a.length === b.length) return compareText(a, b)
  return compareText(a.slice(0, length), b.slice(0, length)) || a.length - b.length
}

function compareText(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
