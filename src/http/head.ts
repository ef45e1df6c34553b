import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Encoding } from '../compression/zlib.ts'
import { eventStream } from '../formats/event-stream.ts'
import type { FormatName } from '../formats/format.ts'
import { TICK } from '../scheduler/clock.ts'
import { jitter } from '../scheduler/jitter.ts'
import type { Refusal } from '../stream/refusal.ts'
import type { NodeResponse } from '../transports/node-response.ts'
import { shutdownHeaders, withShutdownHeader } from './closing.ts'
import { contentEncoding } from './content-encoding.ts'
import { notAcceptableText } from './formats.ts'
import { resumePointOfWeb } from './last-event-id.ts'
import type { Settings } from './options.ts'
import { type RefusalAnswer, refusalAnswer, refusedRequest } from './refusal-answer.ts'
import { varyOn, varyOnAccept } from './vary.ts'

/**
 * Sends the response headers and the first bytes of the body, because several proxies hold back headers without a body.
 * If no headers arrive, a proxy responds with a 5xx, and a browser's `EventSource` fails permanently. With the option
 * `preamble: false`, only the headers are sent. Returns how the body MUST be compressed; its first bytes are then not
 * sent.
 */
export function sendHead(response: NodeResponse, settings: Settings): Encoding | undefined {
  const { status } = settings
  const encoding = contentEncoding(response, settings)
  // The response of `node:http2` has the same methods.
  const any = response as ServerResponse & { flush?: () => void }
  clearMessage(response, status)
  any.writeHead(status, streamHeaders(response, settings))
  // With `rejectNonStandardBodyWrites`, Node.js throws for a body in a response to HEAD.
  if (any.req.method === 'HEAD') return encoding
  // An empty string sends the headers only.
  any.write(encoding ? '' : preambleOf(settings))
  // A compression middleware would buffer it.
  any.flush?.()
  return encoding
}

/**
 * Returns the response headers of a stream: those that proxies need, overridden by the caller's. Headers set earlier
 * are kept. They are passed to `writeHead`, because headers set with `setHeader` stay in memory as long as the
 * response.
 */
export function streamHeaders(response: NodeResponse, settings: HeaderSettings): OutgoingHttpHeaders {
  dropLength(response)
  const own = Object.entries(settings.headers)
  const earlier = response.getHeader('Cache-Control')
  const closing = shutdownHeaders(response)
  const isPlain = settings.format === eventStream && !settings.varies && !settings.compress
  if (isPlain && own.length === 0 && !earlier && !closing) return { ...STREAM_HEADERS }
  const headers: OutgoingHttpHeaders = settings.poll
    ? { ...POLL_HEADERS, 'Cache-Control': earlier ?? POLL_HEADERS['Cache-Control'] }
    : {
        ...STREAM_HEADERS,
        'Content-Type': settings.format.contentType,
        'Cache-Control': cacheControl(earlier),
      }
  const isCompressible = settings.compress && !settings.poll
  if (settings.varies || isCompressible) headers.Vary = response.getHeader('Vary')
  for (const [name, value] of own) {
    const isCookie = name.toLowerCase() === 'set-cookie'
    const earlier = response.getHeader(name) ?? []
    headers[sameName(name, headers)] = isCookie ? [earlier, value].flat().map(String) : value
  }
  if (settings.varies) headers.Vary = varyOnAccept(headers.Vary)
  if (isCompressible) headers.Vary = varyOn(headers.Vary, 'Accept-Encoding')
  const encoding = contentEncoding(response, settings)
  if (encoding) headers['Content-Encoding'] = encoding
  return { ...headers, ...closing }
}

type HeaderSettings = Pick<Settings, 'headers' | 'varies' | 'format' | 'poll'> &
  Partial<Pick<Settings, 'compress'>>

/** The `Cache-Control` of the response to a long poll that is not public. */
const NOT_CACHED = 'private, no-store'

const POLL_HEADERS = { 'Content-Type': 'application/json', 'Cache-Control': NOT_CACHED }

/** The headers of most streams. Each response gets a copy, to which a middleware may add. */
const STREAM_HEADERS = {
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
  'Content-Type': eventStream.contentType,
}

/** Returns the headers of a stream for a web `Response`, whose body may be compressed. */
export function webHeaders(settings: HeaderSettings, encoding?: Encoding): Headers {
  const own = settings.poll
    ? POLL_HEADERS
    : { ...STREAM_HEADERS, 'Content-Type': settings.format.contentType }
  const headers = new Headers(own)
  for (const [name, value] of Object.entries(settings.headers)) {
    headers.delete(name)
    for (const each of [value].flat()) headers.append(name, String(each))
  }
  if (settings.varies) headers.set('Vary', varyOnAccept(headers.get('Vary')))
  if (settings.compress && !settings.poll) headers.set('Vary', varyOn(headers.get('Vary'), 'Accept-Encoding'))
  if (encoding) headers.set('Content-Encoding', encoding)
  return headers
}

/** Returns the first bytes of a body, which state the interval of heartbeats and the jittered reconnection time. */
export function preambleOf(settings: Settings): string {
  const { format, heartbeat, retry } = settings
  // Heartbeats are at least a tick apart, and a client replaces a stream whose stated heartbeats do not arrive.
  const interval = heartbeat && Math.max(heartbeat, TICK)
  return settings.preamble ? format.preamble(interval, jitter(retry)) : ''
}

/**
 * Responds with a refusal instead of a stream. The response has the headers of the route, because without those of
 * CORS, a page of another origin cannot read the status. A cache would store a 204 or a 404 without `Cache-Control`
 * (RFC 9110 15.1).
 */
export function sendRefusal(response: NodeResponse, settings: Settings, refusal: Refusal): undefined {
  const { req } = response
  const answer = refusalAnswer(refusal, formatNameOf(settings), refusedRequest(req))
  const headers = refusalHeaders(response, settings, answer)
  clearMessage(response, answer.status)
  response.writeHead(answer.status, headers)
  endWith(response, answer.body ?? '')
}

/** Returns the headers of a response with a refusal. Removes those that describe another body from the response. */
export function refusalHeaders(
  response: NodeResponse,
  settings: Settings,
  { headers, body }: RefusalAnswer,
): OutgoingHttpHeaders {
  const { 'Content-Type': type, ...route } = streamHeaders(response, { ...settings, compress: false })
  response.removeHeader('Content-Type')
  response.removeHeader('Content-Encoding')
  return { ...route, ...(body !== undefined && { 'Content-Type': type }), ...headers }
}

/** Returns the response with a refusal instead of a stream, with the headers of the route. */
export function webRefusal(request: Request, settings: Settings, refusal: Refusal): Response {
  const { method, headers: requestHeaders } = request
  const refused = { method, prefer: requestHeaders.get('prefer'), resumePoint: resumePointOfWeb(request) }
  const answer = refusalAnswer(refusal, formatNameOf(settings), refused)
  const headers = withShutdownHeader(webHeaders({ ...settings, compress: false }), request)
  if (answer.body === undefined) headers.delete('Content-Type')
  for (const [name, value] of Object.entries(answer.headers)) headers.set(name, value)
  // RFC 9110 9.3.2.
  const body = method === 'HEAD' ? null : (answer.body ?? null)
  return new Response(body, { status: answer.status, headers })
}

function formatNameOf({ poll, format }: Settings): FormatName {
  return poll ? 'json' : format.name
}

/**
 * Clears the message that a middleware has set for another status. Otherwise the client receives `200 Not Found`.
 * HTTP/2 has no status message, and setting it prints a warning.
 */
export function clearMessage(response: NodeResponse, status: number): void {
  const { req, statusCode } = response
  if (statusCode !== status && req.httpVersionMajor < 2) response.statusMessage = ''
}

/** Responds 406, with the headers of the route, to a request that accepts none of its formats (RFC 9110 15.5.7). */
export function sendNotAcceptable(response: NodeResponse, settings: Settings): void {
  const route = streamHeaders(response, { ...settings, varies: true, compress: false })
  clearMessage(response, 406)
  response.writeHead(406, { ...route, 'Content-Type': TEXT })
  endWith(response, notAcceptableText(settings))
}

/** Returns the same response for the web. */
export function webNotAcceptable(request: Request, settings: Settings): Response {
  const route = webHeaders({ ...settings, varies: true, compress: false })
  route.set('Content-Type', TEXT)
  // RFC 9110 9.3.2.
  const body = request.method === 'HEAD' ? null : notAcceptableText(settings)
  return new Response(body, { status: 406, headers: withShutdownHeader(route, request) })
}

const TEXT = 'text/plain; charset=utf-8'

/** Removes a length that a middleware set for another body. A stream has none (RFC 9112 6.1). */
export function dropLength(response: NodeResponse): void {
  // Removing a header that is not set stops Node from adding it later.
  if (response.hasHeader('Content-Length')) response.removeHeader('Content-Length')
}

/** Ends a response with a body, or without one for HEAD, because a strict server throws for it. */
export function endWith(response: NodeResponse, body: string): void {
  if (response.req.method === 'HEAD') response.end()
  else response.end(body)
}

// Keeps a stricter directive of the application. Without `no-transform`, compression middleware buffers every event.
function cacheControl(before: unknown): string {
  const kept = /\bno-(store|cache)\b/i.test(String(before)) ? String(before) : 'no-cache'
  return /\bno-transform\b/i.test(kept) ? kept : `${kept}, no-transform`
}

/** Returns the name of a header as it is spelled in `headers`, ignoring case. */
function sameName(name: string, headers: OutgoingHttpHeaders): string {
  return Object.keys(headers).find((each) => each.toLowerCase() === name.toLowerCase()) ?? name
}
