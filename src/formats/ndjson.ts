import { Frame } from '../event/frame.ts'
import { checkComment, type Fields } from './event-fields.ts'
import type { Format } from './format.ts'

/**
 * `application/x-ndjson`: each event is a JSON object on a line of its own, with the fields `event`, `id`, `data` and
 * `retry` in this order. `event` and `data` are always present. A line without `event` is not an event: `{"id":"7"}` is
 * the position from which the client resumes, and `{"retry":2000}` a reconnection time in ms. An empty line is a
 * heartbeat.
 */
export const ndjson: Format = {
  name: 'ndjson',
  contentType: 'application/x-ndjson; charset=utf-8',
  heartbeat: Frame.of('\n', 0),
  encodeText: ({ event, id, retry }, data, isText) =>
    `{"event":${quote(event || 'message')}${idField(id)},"data":${value(data, isText)}${retryField(retry)}}\n`,
  encodeCheckpoint: ({ id, retry }) => `{${`${idField(id)}${retryField(retry)}`.slice(1)}}\n`,
  encodeComment(text) {
    checkComment(text)
    // JSON has no comments, so that a comment is sent as a heartbeat.
    return '\n'
  },
  encodePosition: (id) => `{${idField(id).slice(1)}}\n`,
  preamble: () => '\n',
}

function idField(id: Fields['id']): string {
  return id === undefined ? '' : `,"id":${quote(`${id}`)}`
}

function retryField(retry: Fields['retry']): string {
  return retry === undefined ? '' : `,"retry":${retry}`
}

// Returns serialized data as its JSON value, and any other data as text in a JSON string. A serialized JSON string is
// text too. A client can thus distinguish text such as `"7"` from a value such as `7`.
function value(text: string, isText: boolean): string {
  if (isText || !isValue(text)) return quote(text.replace(LINE_END, '\n'))
  // JSON has line ends only between tokens.
  return text.replace(LINE_END, ' ')
}

const LINE_END = /\r\n|\n|\r/g

function isValue(text: string): boolean {
  try {
    return typeof JSON.parse(text) !== 'string'
  } catch {
    return false
  }
}

const LONE_SURROGATE = /[\ud800-\udfff]/gu

function quote(text: string): string {
  return JSON.stringify(text.replace(LONE_SURROGATE, '\ufffd'))
}
