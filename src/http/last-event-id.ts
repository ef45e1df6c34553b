import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import { isReturnable } from '../formats/event-fields.ts'
import type { ResumePoint } from '../stream/resume-point.ts'
import { queryOf } from './formats.ts'

/** A request that a server of `node:http` or `node:http2` receives. */
export type NodeRequest = IncomingMessage | Http2ServerRequest

/** Returns the resume point of a Node.js request. Never throws. */
export function resumePointOf({ headers, url }: NodeRequest): ResumePoint {
  // Node joins repeated headers of this name to one string.
  return readResumePoint(headers['last-event-id'] as string | undefined, url)
}

/** Returns the resume point of a web `Request`. Never throws. */
export function resumePointOfWeb({ headers, url }: Request): ResumePoint {
  return readResumePoint(headers.get('last-event-id'), url)
}

// Reads `Last-Event-ID`, or `?lastEventId=`, because a browser cannot set the header on a first connection.
function readResumePoint(header: string | null | undefined, url: string | undefined): ResumePoint {
  const id = header ? decodeHeader(header) : queryOf(url).get('lastEventId')
  if (!id) return 'new'
  return isReturnable(id) ? { id } : 'unreadable'
}

// [spec] Clients send the id as UTF-8. Node and `Headers` decode header bytes as latin1. Invalid UTF-8 does not survive
// a round trip, and becomes NUL, which is unreadable. `TextDecoder` would report it too, but is undefined in Jest's
// jsdom environment.
function decodeHeader(value: string): string {
  const bytes = Buffer.from(value, 'latin1')
  const text = bytes.toString()
  return Buffer.from(text).equals(bytes) ? text : '\0'
}
