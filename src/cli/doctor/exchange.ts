import type { Protocol } from '../protocol.ts'

/** How a response ended. `open`: by the doctor. `ended`: properly. `cut`: without the end that its framing requires. */
export type ResponseEnd = 'open' | 'ended' | 'cut'

/** Bytes that arrived together. */
export interface Arrival {
  /** In ms since the request was sent. */
  readonly at: number
  /** The bytes of the body, without the content encoding. */
  readonly bytes: Uint8Array
}

/** An event as an HTML standard parser dispatches it. A block without data dispatches none. */
export interface SeenEvent {
  /** When the first byte of its block arrived, in ms since the request was sent. */
  readonly startedAt: number
  /** When its last byte arrived, in ms since the request was sent. */
  readonly at: number
  readonly event: string
  readonly data: string
  /** The last event id after it, '' if none was set yet. */
  readonly id: string
  /** Whether the block itself has a field `id`. */
  readonly hasId: boolean
}

/** A comment line. */
export interface SeenComment {
  /** When its last byte arrived, in ms since the request was sent. */
  readonly at: number
  readonly text: string
}

/** A last event id that a complete block has set, with data or without. */
export interface SeenId {
  /** When the last byte of its block arrived, in ms since the request was sent. */
  readonly at: number
  readonly id: string
}

/** One request, and its response with the times. All times are in ms since the request was sent, unless stated. */
export interface Exchange {
  readonly protocol: Protocol
  readonly method: string
  /** The request headers. Names are in lower case. */
  readonly requestHeaders: Readonly<Record<string, string>>
  /** When the request was sent, in ms since the Unix epoch. It compares exchanges of one process. */
  readonly sentAt: number
  /** When the connection was open, with TLS if the URL has it. Undefined if it never was. */
  readonly connectedAt: number | undefined
  /** Undefined if no response arrived. */
  readonly status: number | undefined
  /** The response headers by name in lower case. Several values are joined by `, `. */
  readonly headers: ReadonlyMap<string, string>
  readonly headersAt: number | undefined
  /** When the first byte of the body arrived, before the content encoding was removed. */
  readonly firstByteAt: number | undefined
  readonly arrivals: readonly Arrival[]
  readonly events: readonly SeenEvent[]
  readonly comments: readonly SeenComment[]
  readonly ids: readonly SeenId[]
  readonly end: ResponseEnd
  readonly endedAt: number
  /** The reason of a missing or cut response in one line, for example `connect ECONNREFUSED 127.0.0.1:80`. */
  readonly error: string | undefined
  /** The code of this error, for example `ECONNREFUSED`. */
  readonly errorCode: string | undefined
}
