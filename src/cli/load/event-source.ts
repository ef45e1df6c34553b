import type { IncomingHttpHeaders } from 'node:http'
import type { RequestOptions } from './transport.ts'

// [spec] Those of `EventSource`.
const HEADERS = { accept: 'text/event-stream', 'cache-control': 'no-cache' }

/** Returns the request of an event stream, with headers of the user. */
export function streamRequest(headers: Readonly<Record<string, string>>, lastEventId = ''): RequestOptions {
  // [spec] The id is sent as UTF-8. Node.js writes headers as Latin-1.
  const id = lastEventId === '' ? {} : { 'last-event-id': Buffer.from(lastEventId).toString('latin1') }
  return { method: 'GET', headers: { ...HEADERS, ...headers, ...id } }
}

/** True if a response has the type of an event stream, with any parameters. */
export function isEventStream(headers: IncomingHttpHeaders): boolean {
  return /^text\/event-stream(;|\s|$)/i.test(headers['content-type'] ?? '')
}
