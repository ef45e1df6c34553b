import type { SseEvent } from '../event/event.ts'
import { Frame } from '../event/frame.ts'
import { checkComment, checkEvent, type Fields, type Serialize } from './event-fields.ts'
import { encodeChecked, type Format } from './format.ts'

const LINE_END = /\r\n|\n|\r/g

/**
 * Encodes an event as complete `text/event-stream` text that ends in a blank line. A lone `retry` has no blank line,
 * because some clients report a block without data as an empty message. Line ends inside data reach the client as LF,
 * lone surrogates as U+FFFD.
 *
 * Throws `SseError`: `ERR_SSE_EVENT`, `ERR_SSE_EVENT_NAME`, `ERR_SSE_ID`, `ERR_SSE_RETRY`, `ERR_SSE_DATA`.
 */
export function encode(event: SseEvent, serialize: Serialize = JSON.stringify): string {
  return encodeChecked(checkEvent(event), serialize, eventStream)
}

function encodeText(fields: Fields, data: string): string {
  return `${encodeFields(fields)}${encodeLines('data: ', data)}\n`
}

/** Returns the size of the result of `encodeText` in bytes, without encoding the data. */
export function sizeOfText(fields: Fields, data: string): number {
  return Buffer.byteLength(encodeFields(fields)) + sizeOfLines('data: ', data) + 1
}

/** Encodes a comment, one line for each line of the text. An event that follows it is not affected. */
export function encodeComment(text: string): string {
  checkComment(text)
  return encodeLines(': ', text)
}

function encodeFields({ event, id, retry }: Fields): string {
  let text = retry === undefined ? '' : `retry: ${retry}\n`
  if (id !== undefined) text += `id: ${id}\n`
  if (event !== undefined && event !== '') text += `event: ${event}\n`
  return text
}

// [spec] A block without data dispatches nothing, but the client keeps its id.
function encodeCheckpoint({ id, retry }: Fields): string {
  const text = encodeFields({ id, retry })
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

/** `text/event-stream` of the HTML standard. */
export const eventStream: Format = {
  name: 'event-stream',
  contentType: 'text/event-stream; charset=utf-8',
  // A single line, because some clients report a comment with a blank line after it as an empty message.
  heartbeat: Frame.of(':\n', 0),
  encodeText,
  encodeCheckpoint,
  encodeComment,
  encodePosition: (id) => encodeText({ id, event: 'position' }, '{}'),
  preamble(heartbeat, retry) {
    const time = retry > 0 ? `retry: ${retry}\n` : ''
    return heartbeat > 0 ? `:\n${time}: heartbeat ${heartbeat}\n` : `:\n${time}`
  },
}
