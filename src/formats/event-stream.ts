import { isWhole, MAX_COUNT } from '../check-options.ts'
import { describe, mustBe, SseError } from '../errors.ts'
import type { SseEvent } from '../event/event.ts'
import { Frame } from '../event/frame.ts'

/** Serializes data that is not a string. Default: `JSON.stringify`. */
export type Serialize = (data: unknown) => string | undefined

/** The fields of an event beside its data. */
type Fields = Pick<SseEvent, 'event' | 'id' | 'retry'>

const LINE_END = /\r\n|\n|\r/g
const UNSAFE = /[\r\n\0]/
// Control characters except the tab, which servers and clients refuse in a header such as `Last-Event-ID`.
const UNSAFE_ID = /[^\t -~\x80-\uffff]/

// The request that resumes is limited, because the client chooses the id.
const MAX_ID_BYTES = 1024

/**
 * Encodes an event as complete `text/event-stream` text that ends in a blank line. A lone `retry` has no blank line,
 * because some clients report a block without data as an empty message. Line ends inside data reach the client as LF,
 * lone surrogates as U+FFFD.
 *
 * Throws `SseError`: `ERR_SSE_EVENT`, `ERR_SSE_EVENT_NAME`, `ERR_SSE_ID`, `ERR_SSE_RETRY`, `ERR_SSE_DATA`.
 */
export function encode(event: SseEvent, serialize: Serialize = JSON.stringify): string {
  return encodeChecked(checkEvent(event), serialize)
}

function encodeChecked(event: SseEvent, serialize: Serialize): string {
  const { data } = event
  return data === undefined ? encodeCheckpoint(event) : encodeText(event, serialized(data, serialize))
}

/** Encodes a checked event whose data is text. */
export function encodeText(fields: Fields, data: string): string {
  return `${encodeFields(fields)}${encodeLines('data: ', data)}\n`
}

/**
 * Checks everything but the data and the key. Returns the fields, each of which it reads once, because a getter or `toJSON`
 * may change the event afterwards. Throws `SseError`, as `encode` does.
 */
export function checkEvent(event: unknown): SseEvent {
  if (typeof event !== 'object' || event === null)
    mustBe("an object such as { data: 'text' }", 'ERR_SSE_EVENT', 'An event', event)
  for (const key in event) if (!isEventKey(key)) checkUnknownKey(event, key)
  const { event: name, id, retry, key, data } = event as SseEvent
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

// Comparisons, because a lookup in a list or a set is measurable on every event.
function isEventKey(key: string): boolean {
  return key === 'data' || key === 'event' || key === 'id' || key === 'key' || key === 'retry'
}

// Ignores a key with the value undefined, and an inherited one, for example of an extended `Object.prototype`.
function checkUnknownKey(event: object, key: string): void {
  if (!Object.hasOwn(event, key) || event[key as keyof typeof event] === undefined) return
  const hint = key === 'type' ? ' Did you mean event?' : ''
  throw new SseError(
    'ERR_SSE_EVENT',
    `Unknown key ${describe(key)} in an event.${hint} Known keys: event, data, id, retry, key.`,
  )
}

/** Returns the bytes of `encodeText` without encoding the data. */
export function sizeOfText(fields: Fields, data: string): number {
  return Buffer.byteLength(encodeFields(fields)) + sizeOfLines('data: ', data) + 1
}

/** Encodes a comment, one line for each line of the text. An event that follows it is not affected. */
export function encodeComment(text: string): string {
  if (typeof text !== 'string') mustBe('a string', 'ERR_SSE_EVENT', 'A comment', text)
  return encodeLines(': ', text)
}

function encodeFields({ event, id, retry }: Fields): string {
  let text = retry === undefined ? '' : `retry: ${retry}\n`
  if (id !== undefined) text += `id: ${id}\n`
  if (event !== undefined && event !== '') text += `event: ${event}\n`
  return text
}

// [spec] A block without data dispatches nothing, but the client keeps its id.
function encodeCheckpoint({ event, id, retry }: Fields): string {
  if (event !== undefined)
    throw new SseError('ERR_SSE_DATA', `Event ${describe(event)} has no data. Give it data: ''.`)
  const text = encodeFields({ id, retry })
  if (text === '') throw new SseError('ERR_SSE_EVENT', 'An event needs data, an id or a retry.')
  return id === undefined ? text : `${text}\n`
}

// [spec] CRLF, LF and CR all end a line; the parser strips one space after the colon.
function encodeLines(prefix: string, text: string): string {
  return `${prefix}${hasLineEnd(text) ? text.split(LINE_END).join(`\n${prefix}`) : text}\n`
}

function sizeOfLines(prefix: string, text: string): number {
  const line = prefix.length + 1
  const size = Buffer.byteLength(text) + line
  if (!hasLineEnd(text)) return size
  return (text.match(LINE_END) as string[]).reduce((sum, lineEnd) => sum + line - lineEnd.length, size)
}

// Cheaper than the regular expression, and nearly all data is one line.
function hasLineEnd(text: string): boolean {
  return text.includes('\n') || text.includes('\r')
}

/** Whether a client can return an id as its last event id. */
export function isReturnable(id: string): boolean {
  return Buffer.byteLength(id) <= MAX_ID_BYTES && !UNSAFE_ID.test(id)
}

/** Returns data as text. Throws `SseError` `ERR_SSE_DATA`. */
export function serialized(data: unknown, serialize: Serialize): string {
  if (typeof data === 'string') return data
  let text: string | undefined
  try {
    text = serialize(data)
  } catch (cause) {
    const reason = (cause as Error | undefined)?.message ?? describe(cause)
    throw new SseError('ERR_SSE_DATA', `data could not be serialized: ${reason}`, { cause })
  }
  if (typeof text !== 'string') mustBe('a value that serializes to a string', 'ERR_SSE_DATA', 'data', data)
  return text
}

// A single line, because some clients report a comment with a blank line after it as an empty message.
export const HEARTBEAT = Frame.of(':\n', 0)

/** Throws `SseError` for an event that cannot be encoded. */
export function eventFrame(event: SseEvent, serialize: Serialize): Frame {
  const checked = checkEvent(event)
  // A checkpoint is the newest value of nothing, unless its publisher gives it a key.
  const key = checked.key ?? (checked.data === undefined ? undefined : checked.event || 'message')
  return Frame.of(encodeChecked(checked, serialize), 1, key)
}

export function commentFrame(text: string): Frame {
  return Frame.of(encodeComment(text), 0)
}
