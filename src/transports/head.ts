import type { ServerResponse } from 'node:http'
import vary from 'vary'
import type { HeaderValue, Settings } from '../options.ts'
import type { NodeResponse } from './node.ts'

/**
 * Sends the head and the first bytes of the body at once: several proxies hold a head that has no body yet, and a
 * stream whose head never left becomes a 5xx, which ends a browser's `EventSource` for good.
 */
export function sendHead(response: NodeResponse, { status, headers, retry }: Settings): void {
  prepareHead(response, headers)
  response.writeHead(status)
  ;(response as ServerResponse).write(opening(retry))
}

/** Sets what a stream needs of the proxies on its way, then what the caller wants; headers set before survive. */
export function prepareHead(response: NodeResponse, headers: Settings['headers']): void {
  // A middleware may have guessed one for another body; a stream has none (RFC 9112 6.1).
  if (response.hasHeader('Content-Length')) response.removeHeader('Content-Length')
  response.setHeader('Content-Type', 'text/event-stream; charset=utf-8')
  response.setHeader('Cache-Control', cacheControl(response.getHeader('Cache-Control')))
  response.setHeader('X-Accel-Buffering', 'no')
  for (const [name, value] of Object.entries(headers)) setHeader(response, name, value)
  vary(response as Parameters<typeof vary>[0], 'Accept')
}

/** The first bytes of a body: a comment, and when to come back, spread between once and twice the time. */
export function opening(retry: number): string {
  return retry > 0 ? `:\nretry: ${Math.round(retry * (1 + Math.random()))}\n` : ':\n'
}

// A stricter rule of the application stays. Without no-transform, compression holds every event back.
function cacheControl(before: unknown): string {
  const kept = /\bno-(store|cache)\b/i.test(String(before)) ? String(before) : 'no-cache'
  return /\bno-transform\b/i.test(kept) ? kept : `${kept}, no-transform`
}

function setHeader(response: NodeResponse, name: string, value: HeaderValue): void {
  const before = name.toLowerCase() === 'set-cookie' ? response.getHeader(name) : undefined
  const values = [before ?? [], value].flat().map(String)
  response.setHeader(name, values.length === 1 ? String(value) : values)
}

/** Answers a client that does not accept the stream (RFC 9110 15.5.7). */
export function sendNotAcceptable(response: NodeResponse): void {
  vary(response as Parameters<typeof vary>[0], 'Accept')
  response.setHeader('Content-Type', 'text/plain; charset=utf-8')
  response.writeHead(406)
  response.end('This resource is an event stream: accept text/event-stream.\n')
}
