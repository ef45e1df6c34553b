// The time when the stream was created, in base 36, and a sequence, for example `mbx1k2f0-17`.
const POSITION = /^([0-9a-z]{1,12})-(0|[1-9]\d{0,15})$/

/** Returns the position of a message. Sequences start again when the stream is recreated, so each epoch has its own. */
export function positionOf(epoch: string, sequence: number): string {
  return `${epoch}-${sequence}`
}

/** Whether untrusted text is spelled like a position in an epoch of the stream. */
export function isPositionIn(epoch: string, text: string): boolean {
  const [, ofText, digits] = POSITION.exec(text) ?? []
  return ofText === epoch && Number.isSafeInteger(Number(digits))
}

export function epochOf(position: string): string {
  return position.slice(0, position.indexOf('-'))
}

export function sequenceOf(position: string): number {
  return Number(position.slice(position.indexOf('-') + 1))
}

/** Returns a number below, above or at 0 if position `a` is before, after or the same as `b`. */
export function comparePositions(a: string, b: string): number {
  const [epochA, epochB] = [epochOf(a), epochOf(b)]
  const created = epochA === epochB ? 0 : Number.parseInt(epochA, 36) - Number.parseInt(epochB, 36)
  return created || sequenceOf(a) - sequenceOf(b)
}
