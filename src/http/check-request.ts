import { describe, SseError, type SseErrorCode } from '../errors.ts'
import type { NodeRequest } from './last-event-id.ts'

const IMPORT = 'Import sse of the adapter for your framework.'

/** Throws `SseError` `ERR_SSE_REQUEST` if a value is not a Node.js request. */
export function checkRequest(request: NodeRequest): void {
  // A web `Request` also has headers and a method. A client may send a header named `get`.
  const isNodes = typeof request?.headers === 'object' && !isHeaders(request.headers)
  if (isNodes && typeof request.method === 'string') return
  failExpecting('a request of node:http or node:http2', request, 'ERR_SSE_REQUEST')
}

/** Throws `SseError` `ERR_SSE_REQUEST` if a value is not a web `Request`. */
export function checkWebRequest(request: Request): void {
  // `instanceof` would fail, because some frameworks have their own class.
  if (isHeaders(request?.headers) && typeof request.url === 'string') return
  const { headers, method, raw, req } = Object(request)
  const isHonos = raw || req
  const hintForHono = isHonos ? ' Did you mean context.req.raw (Hono)?' : ''
  const hint = headers && method ? ` Use createSseStream for a Node.js request. ${IMPORT}` : hintForHono
  failExpecting('a web Request', request, 'ERR_SSE_REQUEST', hint)
}

/** Throws `SseError` `ERR_SSE_REQUEST` if another framework than that of an adapter has called its `sse`. */
export function checkCall(argument: unknown, adapter: string, expected: string): void {
  if (argument) return
  throw new SseError('ERR_SSE_REQUEST', `sse of ${adapter} was called without ${expected}. ${IMPORT}`)
}

/** Throws an `SseError` about an argument, with a hint for web requests and for the objects of frameworks. */
export function failExpecting(
  expected: string,
  value: unknown,
  code: SseErrorCode,
  hint = hintFor(value),
): never {
  throw new SseError(code, `Expected ${expected}, not ${describe(value)}.${hint}`)
}

function hintFor(value: unknown): string {
  const { headers, raw, req, writeHead } = Object(value)
  if (isHeaders(headers)) return ' Use createSseResponse for a web Request.'
  if (writeHead) return ' The request and the response are swapped.'
  return raw || req ? ' Did you mean request.raw and reply.raw (Fastify) or ctx.req and ctx.res (Koa)?' : ''
}

function isHeaders(headers: unknown): boolean {
  return typeof Object(headers).get === 'function'
}
