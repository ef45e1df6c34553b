import { isPlain, isWhole, MAX_COUNT } from '../check-options.ts'
import { describe, mustBe, SseError } from '../errors.ts'
import type { SseEvent } from '../event/event.ts'
import { isPromise } from '../event/source.ts'
import { checkSynchronous } from '../event/synchronous.ts'

/** Serializes data that is not a string. Default: `JSON.stringify`. */
export type Serialize = (data: unknown) => string | undefined

/** The fields of an event beside its data. */
export type Fields = Pick<SseEvent, 'event' | 'id' | 'retry'>

const AN_EVENT = "an object such as { data: 'text' }"
const UNSAFE = /[\r\n\0]/
// Servers and clients refuse control characters, except the tab, in a header such as `Last-Event-ID`.
const UNSAFE_ID = /[^\t -~\x80-\uffff]/

// The longest id of a request that resumes. It is limited, because the client chooses the id.
const MAX_ID_BYTES = 1024

/**
 * Checks all fields but the data and the key. Returns the fields, each of which it reads once, because a getter or
 * `toJSON` may change the event afterwards. Throws `SseError`, as `encode` does.
 */
export function checkEvent(event: unknown): SseEvent {
  if (typeof event !== 'object' || event === null) mustBe(AN_EVENT, 'ERR_SSE_EVENT', 'An event', event)
  for (const key in event) if (!isEventKey(key)) checkUnknownKey(event, key)
  const { event: name, id, retry, key, data } = event as SseEvent
  if (data === undefined && id === undefined && retry === undefined) checkPlain(event)
  // [spec] ASCII digits only: JavaScript would write 1e21 for a large number.
  if (retry !== undefined && !isWhole(retry, 0, MAX_COUNT))
    mustBe('a whole number of milliseconds, 0 or more', 'ERR_SSE_RETRY', 'retry', retry)
  // [spec] A NUL makes the client ignore the id, so that it resumes from an older one.
  if (id !== undefined && !(typeof id === 'string' ? isReturnable(id) : Number.isFinite(id)))
    mustBe('a number or a printable string of up to 1024 bytes', 'ERR_SSE_ID', 'id', id)
  if (name !== undefined && !(typeof name === 'string' && !UNSAFE.test(name)))
    mustBe('a string without CR, LF and NUL', 'ERR_SSE_EVENT_NAME', 'event', name)
  return { event: name, id, retry, key, data }
}

// Rejects a promise or a `Map`, whose content is not in properties. Compares the prototype first, because that is fast.
function checkPlain(event: object): void {
  if (Object.getPrototypeOf(event) !== Object.prototype && !isPlain(event))
    mustBe(AN_EVENT, 'ERR_SSE_EVENT', 'An event', event)
}

// Comparisons, because a lookup in a list or a set is measurable on every event.
function isEventKey(key: string): boolean {
  return key === 'data' || key === 'event' || key === 'id' || key === 'key' || key === 'retry'
}

// Ignores a key with the value undefined, and an inherited one, for example of an extended `Object.prototype`.
function checkUnknownKey(event: object, key: string): void {
  if (!Object.hasOwn(event, key) || event[key as keyof typeof event] === undefined) return
  checkPlain(event)
  // Without `data`, the object is probably data itself, for example a chunk of a language model or a message of
  // JSON-RPC.
  const hint = 'data' in event ? hintFor(key) : ' Did you mean { data: object }?'
  throw new SseError(
    'ERR_SSE_EVENT',
    `Unknown key ${describe(key)} in an event.${hint} Known keys: event, data, id, retry, key.`,
  )
}

function hintFor(key: string): string {
  return key === 'type' ? ' Did you mean event?' : ''
}

/** Whether a client can return an id as its last event id. */
export function isReturnable(id: string): boolean {
  return Buffer.byteLength(id) <= MAX_ID_BYTES && !UNSAFE_ID.test(id)
}

// A format multiplies the length by at most 7, and V8 throws for a string of 2^29 characters. An entry that a store has
// accepted MUST be encodable, because otherwise the fan-out to all clients fails.
const MAX_DATA_LENGTH = 2 ** 26

/** Returns data as text. Throws `SseError` `ERR_SSE_DATA`. */
export function serialized(data: unknown, serialize: Serialize): string {
  const text = typeof data === 'string' ? data : serializedValue(data, serialize)
  if (text.length <= MAX_DATA_LENGTH) return text
  throw new SseError(
    'ERR_SSE_DATA',
    `data must have at most ${MAX_DATA_LENGTH} characters as text, not ${text.length}.`,
  )
}

function serializedValue(data: unknown, serialize: Serialize): string {
  let text: string | undefined
  let isPending = false
  try {
    isPending = isPromise(data)
    if (!isPending) text = serialize(data)
  } catch (cause) {
    const reason = (cause as Error | undefined)?.message ?? describe(cause)
    throw new SseError('ERR_SSE_DATA', `data could not be serialized: ${reason}`, { cause })
  }
  if (typeof text === 'string') return text
  // JSON would represent it as `{}`.
  if (isPending) throw new SseError('ERR_SSE_DATA', 'data is a promise. Await it first.')
  checkSynchronous(text, 'ERR_SSE_DATA', 'serialize', 'a string')
  mustBe('a value that serializes to a string', 'ERR_SSE_DATA', 'data', data)
}

/** Throws `SseError` for a checked event without data that has a name, or that has neither an id nor a `retry`. */
export function checkCheckpoint({ event, id, retry }: Fields): void {
  if (event !== undefined)
    throw new SseError('ERR_SSE_DATA', `Event ${describe(event)} has no data. Give it data: ''.`)
  if (id === undefined && retry === undefined)
    throw new SseError('ERR_SSE_EVENT', 'An event needs data, an id or a retry.')
}

/** Throws `SseError` `ERR_SSE_EVENT` for a comment that is not text. */
export function checkComment(text: unknown): void {
  if (typeof text !== 'string') mustBe('a string', 'ERR_SSE_EVENT', 'A comment', text)
}
