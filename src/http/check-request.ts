import { describe, SseError } from '../errors.ts'
import type { NodeRequest } from './last-event-id.ts'

/** Throws `SseError` `ERR_SSE_REQUEST` if a value is not a Node.js request. */
export function checkRequest(request: NodeRequest): void {
  // A web `Request` also has headers and a method. A client may send a header named `get`.
  const isNodes = typeof request?.headers === 'object' && !isHeaders(request.headers)
  if (isNodes && typeof request.method === 'string') return
  const hint = isHeaders(request?.headers) ? ' Use createSseResponse for a web Request.' : hintFor(request)
  fail(request, 'a request of node:http or node:http2', hint)
}

/** Throws `SseError` `ERR_SSE_REQUEST` if a value is not a web `Request`. */
export function checkWebRequest(request: Request): void {
  // Not `instanceof`, because some frameworks have their own class.
  if (isHeaders(request?.headers) && typeof request.url === 'string') return
  const isNodes = request?.headers && request.method
  const hint = isNodes ? ' Use createSseStream for a Node.js request.' : hintFor(request)
  fail(request, 'a web Request', hint)
}

/** Returns advice for a framework's object that holds the request and response, otherwise an empty string. */
export function hintFor(value: unknown): string {
  const { raw, req, res, writeHead } = Object(value) as Readonly<Record<string, unknown>>
  if (raw) return ' For Fastify, pass request.raw and reply.raw.'
  if (writeHead) return ' The request and the response are swapped.'
  if (Object(req).raw) return ' For Hono, pass context.req.raw to createSseResponse.'
  return req && res ? ' For Koa, pass ctx.req and ctx.res.' : ''
}

function isHeaders(headers: unknown): boolean {
  return typeof Object(headers).get === 'function'
}

function fail(request: unknown, expected: string, hint: string): never {
  throw new SseError('ERR_SSE_REQUEST', `Expected ${expected}, not ${describe(request)}.${hint}`)
}
