import type { RunBatch, RunEvent, StoredBatch } from './run-store.ts'

/**
 * Returns the number of the last event of a batch, or 0 for the start of a run, which some stores keep without events.
 */
export function lastNumberOf({ first, events }: RunBatch): number {
  return first + events.length - 1
}

/** Returns the size of an event as a limit counts it: the characters of its name and its data. */
export function sizeOf({ event = '', data }: RunEvent): number {
  return event.length + data.length
}

/** Returns the size of the events of a batch. */
export function bytesOf({ events }: RunBatch): number {
  let bytes = 0
  for (const event of events) bytes += sizeOf(event)
  return bytes
}

/** Returns a batch without its events up to a number, which is before its last event. */
export function restOf(batch: StoredBatch, number: number): StoredBatch {
  const { first, events } = batch
  return first > number ? batch : { ...batch, first: number + 1, events: events.slice(number + 1 - first) }
}
