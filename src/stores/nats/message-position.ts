// When the stream was created, and a sequence in it, as they are written here.
const PLACE = /^([0-9a-z]{1,12})-(0|[1-9]\d{0,15})$/

/** The place of a message: its sequence counts in one creation of the stream, and starts anew in the next. */
export function placeOf(creation: string, sequence: number): string {
  return `${creation}-${sequence}`
}

/** Whether a text is a place in one creation of a stream. It is a client's input. */
export function isPlaceIn(creation: string, text: string): boolean {
  const [, ofText, digits] = PLACE.exec(text) ?? []
  return ofText === creation && Number.isSafeInteger(Number(digits))
}

export function creationOf(place: string): string {
  return place.split('-')[0] as string
}

export function sequenceOf(place: string): number {
  return Number(place.split('-')[1])
}

/** Below, above or at 0, as a place is before, after or the same as another one. */
export function comparePlaces(a: string, b: string): number {
  const created = (place: string) => Number.parseInt(place, 36)
  return created(a) - created(b) || sequenceOf(a) - sequenceOf(b)
}
