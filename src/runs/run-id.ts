import { describe, SseError } from '../errors.ts'
import type { RunPosition } from '../stores/run-store.ts'

// Halves of surrogate pairs and control characters, which a broker or its tools cannot represent.
const UNSAFE = /[\p{Cc}\p{Cs}]/u
const MAX_LENGTH = 200

const POSITION = /^([0-9A-Za-z]{1,40})-(\d{1,15})(?:-([0-9A-Za-z]{1,40}))?$/

/** Whether a value can be the id of a run. */
export function isRunId(id: unknown): id is string {
  return typeof id === 'string' && id.length > 0 && id.length <= MAX_LENGTH && !UNSAFE.test(id)
}

/** Throws `SseError` `ERR_SSE_RUN_ID` for a value that cannot be the id of a run. */
export function checkRunId(id: unknown): asserts id is string {
  if (isRunId(id)) return
  const expected = `a string of 1 to ${MAX_LENGTH} characters without control characters`
  throw new SseError('ERR_SSE_RUN_ID', `The id of a run must be ${expected}, not ${describe(id)}.`)
}

/** Returns the id of an event of a run, for example `m3x7-17`. */
export function eventIdOf(epoch: string, { number, place }: RunPosition): string {
  return place === undefined ? `${epoch}-${number}` : `${epoch}-${number}-${place}`
}

/** Returns the position that an event id of a client names, or undefined if it is not one of the run with this epoch. */
export function positionOf(eventId: string, epoch: string): RunPosition | undefined {
  const [, ofRun, number, place] = POSITION.exec(eventId) ?? []
  return ofRun === epoch ? { number: Number(number), place } : undefined
}
