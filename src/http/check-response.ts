import type { Http2ServerResponse } from 'node:http2'
import { SseError } from '../errors.ts'
import { isHttp2, type NodeResponse } from '../transports/node-response.ts'
import { failExpecting } from './check-request.ts'

/**
 * Throws `SseError` if a stream cannot be created on a response. The code is `ERR_SSE_RESPONSE` if it is no response of
 * Node.js or has ended, and `ERR_SSE_HEADERS_SENT` if its headers were sent.
 */
export function checkResponse(response: NodeResponse): void {
  if (typeof response?.writeHead !== 'function')
    failExpecting('a response of node:http or node:http2', response, 'ERR_SSE_RESPONSE')
  // Checked first, because a finished response is also closed.
  if (response.writableEnded) throw new SseError('ERR_SSE_RESPONSE', 'The response has already ended.')
  if (!response.headersSent || isClosed(response)) return
  const message = isEventStream(response)
    ? 'This response already has a stream.'
    : 'The response headers were already sent. Create the stream first.'
  throw new SseError('ERR_SSE_HEADERS_SENT', message)
}

// Reads the sent headers, because `getHeader` does not return headers that were passed to `writeHead`.
function isEventStream(response: NodeResponse): boolean {
  const { _header, stream } = response as Partial<Http2ServerResponse> & { readonly _header?: unknown }
  // HTTP/1 keeps the sent headers as text, and `_header` of HTTP/2 is true.
  return `${_header}${stream?.sentHeaders['content-type']}`.includes('event-stream')
}

/** True if the client disconnected before anything was sent. */
export function isClosed(response: NodeResponse): boolean {
  if (isHttp2(response)) return response.stream.destroyed || response.stream.closed
  // A pipelined response has no socket until its turn, so only the request shows that the connection was lost.
  return response.destroyed || response.req?.socket?.destroyed === true
}
