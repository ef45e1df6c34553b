import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { jitter } from '../scheduler/jitter.ts'
import type { NodeResponse } from '../transports/node-response.ts'
import type { Settings } from './options.ts'
import { varyOnAccept } from './vary.ts'

/**
 * Sends the head and the first bytes of the body at once: several proxies hold a head that has no body yet, and a
 * stream whose head never left becomes a 5xx, which ends a browser's `EventSource` for good.
 */
export function sendHead(response: NodeResponse, { status, headers, retry }: Settings): void {
  // The response of `node:http2` has the same methods.
  const any = response as ServerResponse & { flush?: () => void }
  // What a middleware has said of another status stays otherwise. HTTP/2 has no such text, and warns.
  if (any.statusCode !== status && any.req.httpVersionMajor < 2) any.statusMessage = ''
  any.writeHead(status, streamHeaders(response, headers))
  // A strict server throws for a body here (`rejectNonStandardBodyWrites`).
  if (any.req.method === 'HEAD') return
  any.write(preamble(retry))
  // Compression that was asked for all the same would hold it back.
  any.flush?.()
}

/**
 * The headers of a stream: what it needs of the proxies on its way, then what the caller wants. They are for
 * `writeHead`: headers that are set one by one stay in memory as long as the response. Those set before survive.
 */
export function streamHeaders(response: NodeResponse, wanted: Settings['headers']): OutgoingHttpHeaders {
  const isUntouched = response.getHeaderNames().length === 0 && Object.keys(wanted).length === 0
  return isUntouched ? STREAM_HEADERS : mergedHeaders(response, wanted)
}

// What nearly every stream sends. Names and values are as a client sees them.
const STREAM_HEADERS: OutgoingHttpHeaders = Object.freeze({
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
  Vary: 'Accept',
})

function mergedHeaders(response: NodeResponse, wanted: Settings['headers']): OutgoingHttpHeaders {
  dropLength(response)
  const headers: OutgoingHttpHeaders = {
    ...STREAM_HEADERS,
    'Cache-Control': cacheControl(response.getHeader('Cache-Control')),
  }
  headers.Vary = response.getHeader('Vary')
  for (const [name, value] of Object.entries(wanted)) {
    headers[sameName(name, headers)] = isCookie(name) ? withEarlier(value, response.getHeader(name)) : value
  }
  headers.Vary = varyOnAccept(headers.Vary)
  return headers
}

/** The same for a web `Response`. */
export function webHeaders(wanted: Settings['headers']): Headers {
  const headers = new Headers(STREAM_HEADERS as Record<string, string>)
  for (const [name, value] of Object.entries(wanted)) {
    headers.delete(name)
    for (const each of [value].flat()) headers.append(name, String(each))
  }
  headers.set('Vary', varyOnAccept(headers.get('Vary')))
  return headers
}

/** The first bytes of a body: a comment, and when to come back, at a time of its own. */
export function preamble(retry: number): string {
  return retry > 0 ? `:\nretry: ${jitter(retry)}\n` : ':\n'
}

/** What a client is told that does not accept the stream. */
export const NOT_ACCEPTABLE = 'This resource is an event stream: accept text/event-stream.\n'

/** Answers a client that does not accept the stream (RFC 9110 15.5.7). */
export function sendNotAcceptable(response: NodeResponse): void {
  dropLength(response)
  response.setHeader('Vary', varyOnAccept(response.getHeader('Vary')))
  response.setHeader('Content-Type', 'text/plain; charset=utf-8')
  response.writeHead(406)
  endWith(response, NOT_ACCEPTABLE)
}

/** A middleware may have guessed a length for another body; a stream has none (RFC 9112 6.1). */
export function dropLength(response: NodeResponse): void {
  // Node takes the removal of a header that is not there for a wish never to set it.
  if (response.hasHeader('Content-Length')) response.removeHeader('Content-Length')
}

/** Ends a response with a body, which the answer to a HEAD has none of: a strict server throws for one. */
export function endWith(response: NodeResponse, body: string): void {
  if (response.req.method === 'HEAD') response.end()
  else response.end(body)
}

// A stricter rule of the application stays. Without no-transform, compression holds every event back.
function cacheControl(before: unknown): string {
  const kept = /\bno-(store|cache)\b/i.test(String(before)) ? String(before) : 'no-cache'
  return /\bno-transform\b/i.test(kept) ? kept : `${kept}, no-transform`
}

/** The name under which a header stands already, however it is written. */
function sameName(name: string, headers: OutgoingHttpHeaders): string {
  return Object.keys(headers).find((each) => each.toLowerCase() === name.toLowerCase()) ?? name
}

function isCookie(name: string): boolean {
  return name.toLowerCase() === 'set-cookie'
}

function withEarlier(value: unknown, before: unknown = []): string[] {
  return [before, value].flat().map(String)
}
