import { type IncomingHttpHeaders, validateHeaderValue } from 'node:http'
import type { RequestOptions } from './transport.ts'

// [spec] The request headers of `EventSource`.
const HEADERS = { accept: 'text/event-stream', 'cache-control': 'no-cache' }
const LAST_EVENT_ID = 'last-event-id'

/** Returns the request of an event stream, with the headers of the user. */
export function streamRequest(headers: Readonly<Record<string, string>>, lastEventId = ''): RequestOptions {
  const id = lastEventId === '' ? {} : { [LAST_EVENT_ID]: asHeader(lastEventId) }
  return { method: 'GET', headers: { ...HEADERS, ...headers, ...id } }
}

/** True if an id can be sent. [RFC 9110 5.5] An id may have characters that a header may not have, such as U+0001. */
export function canBeSent(id: string): boolean {
  try {
    validateHeaderValue(LAST_EVENT_ID, asHeader(id))
    return true
  } catch {
    return false
  }
}

// [spec] The id is sent as UTF-8. Node.js writes headers as Latin-1.
function asHeader(id: string): string {
  return Buffer.from(id).toString('latin1')
}

/** True if a response has the media type of an event stream, with any parameters. */
export function isEventStream(headers: IncomingHttpHeaders): boolean {
  return /^text\/event-stream(;|\s|$)/i.test(headers['content-type'] ?? '')
}

/** Returns the reason why a response is not an event stream, which is its status or the name of a header. */
export function causeOfRefusal(status: number, headers: IncomingHttpHeaders): string | undefined {
  // [spec] Only this status and type are an event stream. For others, `EventSource` does not reconnect.
  if (status !== 200) return String(status)
  if (!isEventStream(headers)) return 'Content-Type'
  return foreignEncoding(headers) === undefined ? undefined : 'Content-Encoding'
}

/** Returns the encoding of a compressed response, although the request accepts none. `EventSource` decompresses it. */
export function foreignEncoding(headers: IncomingHttpHeaders): string | undefined {
  const encoding = headers['content-encoding'] ?? ''
  return /^(identity)?$/i.test(encoding) ? undefined : encoding
}
