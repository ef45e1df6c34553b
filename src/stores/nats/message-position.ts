// When the stream was created, and a sequence in it, as they are written here.
const POSITION = /^([0-9a-z]{1,12})-(0|[1-9]\d{0,15})$/

/** The place of a message: its sequence counts in one creation of the stream, and starts anew in the next. */
export function positionOf(epoch: string, sequence: number): string {
  return `${epoch}-${sequence}`
}

/** Whether a text is a place in one creation of a stream. It is a client's input. */
export function isPositionIn(epoch: string, text: string): boolean {
  const [, ofText, digits] = POSITION.exec(text) ?? []
  return ofText === epoch && Number.isSafeInteger(Number(digits))
}

export function epochOf(position: string): string {
  return position.split('-')[0] as string
}

export function sequenceOf(position: string): number {
  return Number(position.split('-')[1])
}

/** Below, above or at 0, as a place is before, after or the same as another one. */
export function comparePositions(a: string, b: string): number {
  const created = (position: string) => Number.parseInt(position, 36)
  return created(a) - created(b) || sequenceOf(a) - sequenceOf(b)
}
