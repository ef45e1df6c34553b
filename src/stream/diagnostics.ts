import { diagnosticsChannel } from '../diagnostics.ts'
import type { FormatName } from '../formats/format.ts'
import type { Overflow } from './backlog.ts'
import type { CloseReason } from './close-reason.ts'
import type { Gap } from './gap.ts'
import type { SseStream } from './stream.ts'

/** The base of every message about a stream. A subscriber MUST NOT send on the stream or close it. */
export interface StreamMessage {
  readonly stream: SseStream
}

/** The message of `spillway:stream:begin`. */
export interface StreamBeginMessage extends StreamMessage {
  /** How long after the creation of the stream its response headers were sent, in ms. */
  readonly duration: number
}

/** The message of `spillway:stream:close`. */
export interface StreamCloseMessage extends StreamMessage {
  readonly reason: CloseReason
  /** The error passed to `destroy`, that of the connection, or that of a replay. */
  readonly error: unknown
  /** How long the stream was open, in ms. */
  readonly duration: number
  /** The number of events written to the connection. */
  readonly events: number
  /** The number of bytes written to the connection, before compression. */
  readonly bytes: number
  /** How long the client had been behind at the end, in ms. 0: it was not. */
  readonly lag: number
}

/** The message of `spillway:stream:overflow`. */
export interface StreamOverflowMessage extends StreamMessage {
  /** The value of the option `overflow`. */
  readonly policy: Overflow
  /** The number of events that were dropped. 0: the client was disconnected. */
  readonly dropped: number
}

/** The message of `spillway:stream:conflate` and of `spillway:stream:discard`. */
export interface StreamEventsMessage extends StreamMessage {
  readonly events: number
}

/** The message of `spillway:stream:drain`. */
export interface StreamDrainMessage extends StreamMessage {
  /** How long the client was behind, in ms. */
  readonly lag: number
}

/** The message of `spillway:stream:replay`. */
export interface StreamReplayMessage extends StreamMessage {
  /** The number of stored events that were sent. */
  readonly events: number
  /** In ms. */
  readonly duration: number
  /** Whether the client has reconnected. Otherwise it is new, or its subscriptions have changed. */
  readonly resumed: boolean
  /** Whether all missed events were sent. */
  readonly complete: boolean
  readonly error: unknown
}

/** The message of `spillway:stream:transport`. */
export interface StreamTransportMessage extends StreamMessage {
  /** The format that the request gets. */
  readonly transport: FormatName
  /** Why the client has changed its transport. */
  readonly reason: string
  /** Address of the connection, which is that of the last proxy. */
  readonly address: string | undefined
  readonly userAgent: string | undefined
  /** The headers of proxies that the request has, by their names in lower case. */
  readonly proxies: Readonly<Record<string, string | undefined>>
}

/** The message of `spillway:stream:gap`. */
export interface StreamGapMessage extends StreamMessage {
  readonly gap: Gap
}

export const openChannel = diagnosticsChannel<StreamMessage>('spillway:stream:open')
export const beginChannel = diagnosticsChannel<StreamBeginMessage>('spillway:stream:begin')
export const closeChannel = diagnosticsChannel<StreamCloseMessage>('spillway:stream:close')
export const overflowChannel = diagnosticsChannel<StreamOverflowMessage>('spillway:stream:overflow')
export const conflateChannel = diagnosticsChannel<StreamEventsMessage>('spillway:stream:conflate')
export const discardChannel = diagnosticsChannel<StreamEventsMessage>('spillway:stream:discard')
export const drainChannel = diagnosticsChannel<StreamDrainMessage>('spillway:stream:drain')
export const replayChannel = diagnosticsChannel<StreamReplayMessage>('spillway:stream:replay')
export const transportChannel = diagnosticsChannel<StreamTransportMessage>('spillway:stream:transport')
export const gapChannel = diagnosticsChannel<StreamGapMessage>('spillway:stream:gap')
