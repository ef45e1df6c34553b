import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { ResumePoint } from '../stream/resume-point.ts'

/** What Node gives a server to answer. */
export type NodeRequest = IncomingMessage | Http2ServerRequest

/** The longest last event id that is read, in bytes: it is the client's to choose. */
const MAX_ID_BYTES = 1024

/** The position that a request of Node asks for. Never throws. */
export function positionOf({ headers, url }: NodeRequest): ResumePoint {
  const id = headers['last-event-id']
  return readPosition(id && String(id), url)
}

/** The position that a web `Request` asks for. Never throws. */
export function webPositionOf({ headers, url }: Request): ResumePoint {
  return readPosition(headers.get('last-event-id'), url)
}

// `Last-Event-ID`, or `?lastEventId=` where a browser cannot set a header.
function readPosition(header: string | null | undefined, url = ''): ResumePoint {
  if (header) return toPosition(decodeHeader(header))
  const [, query] = /\?([^#]*)/.exec(url) ?? []
  return query?.includes('lastEventId=')
    ? toPosition(new URLSearchParams(query).get('lastEventId') ?? '')
    : 'new'
}

function toPosition(id: string | undefined): ResumePoint {
  if (id === '') return 'new'
  if (id === undefined || Buffer.byteLength(id) > MAX_ID_BYTES || /[\r\n\0]/.test(id)) return 'unreadable'
  return { id }
}

// [spec] Clients send the id as UTF-8. Node and `Headers` hand header bytes over as latin1. Invalid UTF-8 does not survive
// a round trip. `TextDecoder` would report it too, but is undefined in Jest's jsdom environment.
function decodeHeader(value: string): string | undefined {
  const bytes = Buffer.from(value, 'latin1')
  const text = bytes.toString()
  return Buffer.from(text).equals(bytes) ? text : undefined
}
