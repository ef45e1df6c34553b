import { describe, SseError } from '../errors.ts'
import type { RunPosition } from '../stores/run-store.ts'

// Matches halves of surrogate pairs and control characters, which a broker or its tools cannot represent.
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

/** Returns the id of a run with a name that may be the name of a channel. A name that cannot be an id is hashed. */
export async function runIdOf(name: string): Promise<string> {
  if (isRunId(name)) return name
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(name))
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Returns the id of an event of a run, for example `m3x7-17`. */
export function eventIdOf(epoch: string, { number, place }: RunPosition): string {
  return place === undefined ? `${epoch}-${number}` : `${epoch}-${number}-${place}`
}

/**
 * Returns the position in an event id of a client, or undefined if the id does not belong to the run with this epoch.
 */
export function positionOf(eventId: string, epoch: string): RunPosition | undefined {
  const [, ofRun, number, place] = POSITION.exec(eventId) ?? []
  return ofRun === epoch ? { number: Number(number), place } : undefined
}
