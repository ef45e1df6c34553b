import { describe, SseError } from '../errors.ts'
import type { SseEvent } from '../event/event.ts'
import { Frame } from '../event/frame.ts'

/** Turns data that is not a string into one. Default: `JSON.stringify`. */
export type Serialize = (data: unknown) => string | undefined

const LINE_END = /\r\n|\n|\r/
const UNSAFE = /[\r\n\0]/

/**
 * An event as the text of the wire, whole, ending in a blank line; a lone `retry` is an open line, because a block
 * without data reaches some clients as an empty message. Line endings inside data reach the client as LF, lone
 * surrogates as U+FFFD.
 *
 * Throws `SseError`: `ERR_SSE_EVENT`, `ERR_SSE_EVENT_NAME`, `ERR_SSE_ID`, `ERR_SSE_RETRY`, `ERR_SSE_DATA`.
 */
export function encode(event: SseEvent, serialize: Serialize = JSON.stringify): string {
  checkEvent(event)
  const { event: name, data, id, retry } = event
  let text = ''
  if (retry !== undefined) text = `retry: ${checkedRetry(retry)}\n`
  if (data === undefined) return text + encodeCheckpoint(name, id, text !== '')
  if (id !== undefined) text += `id: ${checkedId(id)}\n`
  if (name !== undefined && name !== '') text += `event: ${checkedName(name)}\n`
  return `${text}${encodeLines('data: ', serialized(data, serialize))}\n`
}

/** Throws `SseError` `ERR_SSE_EVENT` for a value that is not an object, and for an unknown key. */
export function checkEvent(event: unknown): void {
  if (typeof event !== 'object' || event === null) {
    throw new SseError(
      'ERR_SSE_EVENT',
      `An event must be an object such as { data: 'text' }, not ${describe(event)}.`,
    )
  }
  for (const key in event) if (!isEventKey(key)) refuseKey(event, key)
}

// Comparisons cost less than a lookup in a `Set`.
function isEventKey(key: string): boolean {
  return key === 'data' || key === 'event' || key === 'id' || key === 'key' || key === 'retry'
}

// A key with the value undefined and an inherited one, for example of an extended `Object.prototype`, do no harm.
function refuseKey(event: object, key: string): void {
  if (!Object.hasOwn(event, key) || event[key as keyof typeof event] === undefined) return
  const hint = key === 'type' ? 'Use event for the name.' : 'Put other values into data.'
  throw new SseError(
    'ERR_SSE_EVENT',
    `An event has no key ${describe(key)}. ${hint} Known keys: event, data, id, retry, key.`,
  )
}

/** A comment, one line for each line of the text. It leaves an event that follows it untouched. */
export function encodeComment(text: string): string {
  if (typeof text !== 'string')
    throw new SseError('ERR_SSE_EVENT', `A comment is a string, not ${describe(text)}.`)
  return encodeLines(': ', text)
}

// [spec] A block without data dispatches nothing, but its id is kept.
function encodeCheckpoint(name: unknown, id: unknown, hasRetry: boolean): string {
  if (name !== undefined) {
    throw new SseError(
      'ERR_SSE_DATA',
      `Event ${describe(name)} has no data, so no client would see it. Give it data: ''.`,
    )
  }
  if (id !== undefined) return `id: ${checkedId(id)}\n\n`
  if (hasRetry) return ''
  throw new SseError('ERR_SSE_EVENT', 'An event needs data, an id or a retry.')
}

// [spec] CRLF, LF and CR all end a line; the parser strips one space after the colon.
function encodeLines(prefix: string, text: string): string {
  if (!text.includes('\n') && !text.includes('\r')) return `${prefix}${text}\n`
  return `${prefix}${text.split(LINE_END).join(`\n${prefix}`)}\n`
}

function checkedName(name: unknown): string {
  if (typeof name === 'string' && !UNSAFE.test(name)) return name
  throw new SseError(
    'ERR_SSE_EVENT_NAME',
    `event must be a string without CR, LF and NUL, not ${describe(name)}.`,
  )
}

// [spec] A NUL makes the client ignore the id, so that resuming breaks in silence.
function checkedId(id: unknown): string | number {
  if (typeof id === 'string' ? !UNSAFE.test(id) : Number.isFinite(id)) return id as string | number
  throw new SseError(
    'ERR_SSE_ID',
    `id must be a number or a string without CR, LF and NUL, not ${describe(id)}.`,
  )
}

// [spec] ASCII digits only: JavaScript would write 1e21 for a large number.
function checkedRetry(retry: unknown): number {
  if (Number.isSafeInteger(retry) && (retry as number) >= 0) return retry as number
  throw new SseError(
    'ERR_SSE_RETRY',
    `retry must be a whole number of milliseconds, 0 or more, not ${describe(retry)}.`,
  )
}

/** Data as text. Throws `SseError` `ERR_SSE_DATA`. */
export function serialized(data: unknown, serialize: Serialize): string {
  if (typeof data === 'string') return data
  let text: string | undefined
  try {
    text = serialize(data)
  } catch (cause) {
    throw new SseError(
      'ERR_SSE_DATA',
      `data could not be serialised: ${cause instanceof Error ? cause.message : describe(cause)}`,
      { cause },
    )
  }
  if (typeof text === 'string') return text
  throw new SseError(
    'ERR_SSE_DATA',
    `data must serialise to a string; ${describe(data)} became ${describe(text)}.`,
  )
}

// One line: a comment with a blank line after it is an empty message to some clients.
export const HEARTBEAT = Frame.of(':\n', 0)

/** Throws `SseError` for an event that cannot be encoded. */
export function eventFrame(event: SseEvent, serialize: Serialize, isConflated = false): Frame {
  const text = encode(event, serialize)
  // A checkpoint is the newest value of nothing, unless it says so.
  const key = event.key ?? (event.data === undefined ? undefined : event.event || 'message')
  return Frame.of(text, 1, key, isConflated)
}

export function commentFrame(text: string): Frame {
  return Frame.of(encodeComment(text), 0)
}
