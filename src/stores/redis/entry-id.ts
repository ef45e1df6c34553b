// Milliseconds and a number within them, as Redis writes them: `1700000000000-0`.
const ID = /^(0|[1-9]\d{0,14})-(0|[1-9]\d{0,14})$/

/** Whether untrusted text is spelled like the id of an entry. */
export function isEntryId(text: string): boolean {
  return ID.test(text)
}

/** Returns a number below, above or at 0 if entry `a` is before, after or the same as `b`. */
export function compareEntryIds(a: string, b: string): number {
  const [aTime = 0, aNumber = 0] = a.split('-').map(Number)
  const [bTime = 0, bNumber = 0] = b.split('-').map(Number)
  return aTime - bTime || aNumber - bNumber
}
