import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import Negotiator from 'negotiator'

/** What Node gives a server to answer. */
export type NodeRequest = IncomingMessage | Http2ServerRequest

// Some clients name the charset in what they accept.
const OFFERED = ['text/event-stream', 'text/event-stream;charset=utf-8']

/** Whether the client takes an event stream. No `Accept` is any (RFC 9110 12.5.1). */
export function acceptsEventStream(accept: string | undefined): boolean {
  if (!accept || accept === 'text/event-stream' || accept === '*/*') return true
  return new Negotiator({ headers: { accept } }).mediaTypes(OFFERED).length > 0
}

/** The longest last event id that is read, in bytes: it is the client's to choose. */
const MAX_ID_BYTES = 1024

/** Where a client says it stopped: at an id, nowhere because it is new, or at what no event of ours can have had. */
export type Position = { readonly id: string } | 'new' | 'unreadable'

/** The position that a request of Node asks for. Never throws. */
export function positionOf({ headers, url }: NodeRequest): Position {
  const id = headers['last-event-id']
  return readPosition(id && String(id), url)
}

/** The position that a web `Request` asks for. Never throws. */
export function webPositionOf({ headers, url }: Request): Position {
  return readPosition(headers.get('last-event-id'), url)
}

// `Last-Event-ID`, or `?lastEventId=` where a browser cannot set a header.
function readPosition(header: string | null | undefined, url = ''): Position {
  if (header) return toPosition(decodeHeader(header))
  const [, query] = /\?([^#]*)/.exec(url) ?? []
  return query?.includes('lastEventId=')
    ? toPosition(new URLSearchParams(query).get('lastEventId') ?? '')
    : 'new'
}

function toPosition(id: string | undefined): Position {
  if (id === '') return 'new'
  if (id === undefined || Buffer.byteLength(id) > MAX_ID_BYTES || /[\r\n\0]/.test(id)) return 'unreadable'
  return { id }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

// [spec] Clients send the id as UTF-8. Node and `Headers` hand header bytes over as latin1.
function decodeHeader(value: string): string | undefined {
  try {
    return utf8.decode(Buffer.from(value, 'latin1'))
  } catch {
    return undefined
  }
}
