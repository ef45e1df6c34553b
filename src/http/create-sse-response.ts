import type { AnyEvents, EventMap } from '../event/event.ts'
import { SseStream } from '../stream/stream.ts'
import { WebTransport } from '../transports/web-body.ts'
import { acceptsEventStream } from './accept.ts'
import { checkWebRequest } from './check-request.ts'
import { checkHandler, runHandler, type SseHandler } from './handler.ts'
import { NOT_ACCEPTABLE, preamble, webHeaders } from './head.ts'
import { webPositionOf } from './last-event-id.ts'
import { resolveOptions, type Settings, type SseStreamOptions } from './options.ts'

/**
 * Answers a web `Request` with a `Response` whose body is an event stream, and calls the handler with the stream and the
 * request. A client that does not accept a stream gets a 406, and a HEAD request the head alone.
 *
 * Throws `SseError`: `ERR_SSE_OPTION`, `ERR_SSE_HANDLER`, `ERR_SSE_REQUEST`, and what the handler throws at once. What it
 * fails with later destroys the stream; the stream's `close` event has it.
 */
export function createSseResponse<Events extends EventMap = AnyEvents>(
  request: Request,
  handler: SseHandler<readonly [request: Request], Events>,
  options?: SseStreamOptions<Events>,
): Response {
  const settings = resolveOptions(options)
  checkHandler(handler)
  const { response, stream } = openResponse(request, settings)
  // The stream's `close` event has what it fails with.
  if (stream) runHandler(stream, handler, [request]).catch(() => {})
  return response
}

/** An answer, with the stream that is its body. Without one, the answer is a refusal or a head alone. */
export interface WebAnswer {
  readonly response: Response
  readonly stream?: SseStream
}

/** Throws `SseError` `ERR_SSE_REQUEST`. */
export function openResponse(request: Request, settings: Settings): WebAnswer {
  checkWebRequest(request)
  const { status } = settings
  if (!acceptsEventStream(request.headers.get('accept') ?? undefined))
    return { response: notAcceptable(request) }
  const head = { status, headers: webHeaders(settings.headers) }
  if (request.method === 'HEAD') return { response: new Response(null, head) }
  const transport = new WebTransport(preamble(settings.retry))
  // First what may throw: a stream that is open is held by the clock.
  const response = new Response(transport.body, head)
  const stream = SseStream._open(transport, settings, webPositionOf(request))
  leaveWith(request.signal, transport, stream)
  return { response, stream }
}

// RFC 9110 15.5.7, 9.3.2.
function notAcceptable({ method }: Request): Response {
  const headers = { 'Content-Type': 'text/plain; charset=utf-8', Vary: 'Accept' }
  return new Response(method === 'HEAD' ? null : NOT_ACCEPTABLE, { status: 406, headers })
}

function leaveWith(signal: AbortSignal | undefined, transport: WebTransport, stream: SseStream): void {
  const leave = () => transport.disconnect()
  signal?.addEventListener('abort', leave)
  if (signal?.aborted) leave()
  stream.once('close', () => signal?.removeEventListener('abort', leave))
}
