import { describe, SseError } from '../errors.ts'
import type { NodeRequest } from './last-event-id.ts'

/** Throws `SseError` `ERR_SSE_REQUEST` for what is no request of Node. */
export function checkRequest(request: NodeRequest): void {
  // A web `Request` has headers and a method too. A client may send a header that is named `get`.
  const isNodes = typeof request?.headers === 'object' && typeof request.headers.get !== 'function'
  if (isNodes && typeof request.method === 'string') return
  fail(request, 'the request of node:http or node:http2')
}

/** Throws `SseError` `ERR_SSE_REQUEST` for what is no web `Request`. */
export function checkWebRequest(request: Request): void {
  // Not `instanceof`: some frameworks bring a class of their own.
  if (typeof request?.headers?.get === 'function' && typeof request.url === 'string') return
  fail(request, 'a web Request')
}

function fail(request: unknown, expected: string): never {
  throw new SseError('ERR_SSE_REQUEST', `Expected ${expected}, not ${describe(request)}.`)
}
