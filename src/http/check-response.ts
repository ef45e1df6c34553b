import { SseError } from '../errors.ts'
import { isHttp2, type NodeResponse } from '../transports/node-response.ts'
import { failExpecting } from './check-request.ts'

/**
 * Throws `SseError` if a stream cannot be created on a response: `ERR_SSE_RESPONSE` if it is not a Node.js response or has
 * ended, `ERR_SSE_HEADERS_SENT` if its headers were sent.
 */
export function checkResponse(response: NodeResponse): void {
  if (typeof response?.writeHead !== 'function' || typeof response.setHeader !== 'function')
    failExpecting('a response of node:http or node:http2', response, 'ERR_SSE_RESPONSE')
  // Check this first, because a finished response is also closed.
  if (response.writableEnded) throw new SseError('ERR_SSE_RESPONSE', 'The response has already ended.')
  if (isClosed(response)) return
  if (response.headersSent) {
    throw new SseError('ERR_SSE_HEADERS_SENT', 'The response headers or a stream were already sent.')
  }
}

/** True if the client disconnected before anything was sent. */
export function isClosed(response: NodeResponse): boolean {
  if (isHttp2(response)) return response.stream.destroyed || response.stream.closed
  // A pipelined response has no socket until its turn, so only the request shows that the connection was lost.
  return response.destroyed || response.req?.socket?.destroyed === true
}
