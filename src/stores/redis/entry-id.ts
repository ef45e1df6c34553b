// The time in ms and a number within it, for example `1700000000000-0`. Another program may choose larger numbers.
const ID = /^(0|[1-9]\d{0,19})-(0|[1-9]\d{0,19})$/
// Redis rejects a command with a larger number.
const MAX = String(2n ** 64n - 1n)

/** Whether untrusted text is spelled like the id of an entry. */
export function isEntryId(text: string): boolean {
  const [, ...numbers] = ID.exec(text) ?? []
  return numbers.length > 0 && numbers.every((each) => each.length < MAX.length || each <= MAX)
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
