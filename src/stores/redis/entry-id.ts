// Milliseconds and a number within them, written as Redis writes them.
const ID = /^(0|[1-9]\d{0,14})-(0|[1-9]\d{0,14})$/

/** Whether a text is the id of an entry. It is a client's input. */
export function isEntryId(text: string): boolean {
  return ID.test(text)
}

/** Below, above or at 0, as an entry is before, after or the same as another one. */
export function compareEntryIds(a: string, b: string): number {
  const [aTime = 0, aNumber = 0] = a.split('-').map(Number)
  const [bTime = 0, bNumber = 0] = b.split('-').map(Number)
  return aTime - bTime || aNumber - bNumber
}
