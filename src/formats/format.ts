import type { SseEvent } from '../event/event.ts'
import { Frame } from '../event/frame.ts'
import { checkCheckpoint, checkEvent, type Fields, type Serialize, serialized } from './event-fields.ts'

/**
 * The name of a representation, as in the option `formats`. A long poll, `json`, sends the lines of `ndjson` as an
 * array.
 */
export type FormatName = 'event-stream' | 'ndjson' | 'json'

/** A wire format. There is one object for each, because an entry is encoded once per object. */
export interface Format {
  readonly name: FormatName
  /** Value of the header `Content-Type`. */
  readonly contentType: string
  /** Keeps the connection alive. Clients skip it. */
  readonly heartbeat: Frame
  /** Encodes a checked event. `isText`: the data was a string, and was not serialized. */
  encodeText(fields: Fields, data: string, isText: boolean): string
  /** Encodes a checked event without data. */
  encodeCheckpoint(fields: Fields): string
  /** Encodes a comment. Throws `SseError` `ERR_SSE_EVENT` if it is not a string. */
  encodeComment(text: string): string
  /** Encodes a position in the log as a block of its own, which every client of the format keeps. */
  encodePosition(id: string): string
  /** Returns the first bytes of a body. `heartbeat` and `retry` are in ms; 0 omits them. */
  preamble(heartbeat: number, retry: number): string
}

/** Encodes an event. Throws `SseError`, as `encode` does. */
export function eventFrame(event: SseEvent, serialize: Serialize, format: Format): Frame {
  const checked = checkEvent(event)
  // A checkpoint replaces no other event, so that it has no key unless the publisher sets one.
  const key = checked.key ?? (checked.data === undefined ? undefined : checked.event || 'message')
  // A reconnection time alone, for example of a shutdown, is not counted as an event.
  const events = checked.data === undefined && checked.id === undefined ? 0 : 1
  return Frame.of(encodeChecked(checked, serialize, format), events, key)
}

/** Encodes an event that `checkEvent` has returned. Throws `SseError` for its data, or because it has none. */
export function encodeChecked(event: SseEvent, serialize: Serialize, format: Format): string {
  const { data } = event
  if (data !== undefined)
    return format.encodeText(event, serialized(data, serialize), typeof data === 'string')
  checkCheckpoint(event)
  return format.encodeCheckpoint(event)
}
