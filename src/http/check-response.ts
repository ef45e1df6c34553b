import { describe, SseError } from '../errors.ts'
import { isHttp2, type NodeResponse } from '../transports/node-response.ts'

/**
 * Throws `SseError` for a response that no stream can go out through: `ERR_SSE_RESPONSE` when it is none of Node's or
 * has ended, `ERR_SSE_HEADERS_SENT` when its head has left.
 */
export function checkResponse(response: NodeResponse): void {
  if (typeof response?.writeHead !== 'function' || typeof response.setHeader !== 'function') {
    const message = `Expected the response of node:http or node:http2, not ${describe(response)}.`
    throw new SseError('ERR_SSE_RESPONSE', message)
  }
  // Before all else: once it has finished, what has ended is gone too.
  if (response.writableEnded)
    throw new SseError('ERR_SSE_RESPONSE', 'The response has ended: another handler answered.')
  if (isClosed(response)) return
  if (response.headersSent) {
    throw new SseError(
      'ERR_SSE_HEADERS_SENT',
      'The head of the response has left. Make the stream before anything is sent.',
    )
  }
}

/** Whether the client left before anything could be sent. */
export function isClosed(response: NodeResponse): boolean {
  if (isHttp2(response)) return response.stream.destroyed || response.stream.closed
  // A pipelined response has no socket before its turn: only the request knows that the connection is lost.
  return response.destroyed || response.req?.socket?.destroyed === true
}
