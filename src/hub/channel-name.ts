import { isWellFormed } from '../check-options.ts'
import { describe, SseError } from '../errors.ts'

const NAME = /^[^\r\n\0]{1,255}$/

/** Returns the channels that a stream subscribes to, each once. Throws `SseError` `ERR_SSE_CHANNEL`. */
export function namesOf(channels: string | readonly string[]): string[] {
  const names = typeof channels === 'string' ? [channels] : channels
  if (!Array.isArray(names) || names.length === 0) {
    const given = Array.isArray(names) ? 'an empty list' : describe(names)
    throw new SseError('ERR_SSE_CHANNEL', `Channels must be a name or a list of names, not ${given}.`)
  }
  for (const name of names) checkName(name)
  return [...new Set(names)]
}

/** Throws `SseError` `ERR_SSE_CHANNEL`. */
export function checkName(name: string): void {
  if (typeof name !== 'string' || !NAME.test(name))
    fail(name, 'be a string of 1 to 255 characters without CR, LF and NUL')
  // A store that encodes names as UTF-8 could not distinguish such names.
  if (isWellFormed(name) !== undefined) fail(name, 'be well-formed Unicode, without half of a surrogate pair')
  // A subscriber would wait for the events of all matching channels, and receive none.
  if (name.includes('*')) fail(name, 'be literal, because there are no patterns with *')
}

function fail(name: unknown, expected: string): never {
  throw new SseError('ERR_SSE_CHANNEL', `A channel name must ${expected}, not ${describe(name)}.`)
}
