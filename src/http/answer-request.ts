import { compress } from '../compression/compress.ts'
import { SseStream } from '../stream/stream.ts'
import type { NodeResponse } from '../transports/node-response.ts'
import { nodeTransport } from '../transports/node-socket.ts'
import type { Transport } from '../transports/transport.ts'
import { applyQuery } from './apply-query.ts'
import { checkRequest } from './check-request.ts'
import { checkResponse, isClosed } from './check-response.ts'
import { runHandler, type SseHandler } from './handler.ts'
import type { HandlerSettings } from './handler-options.ts'
import { preambleOf, sendHead, sendNotAcceptable } from './head.ts'
import { HeaderDelay } from './header-delay.ts'
import { type NodeRequest, resumePointOf } from './last-event-id.ts'
import type { Settings } from './options.ts'
import { settingsFor } from './representation.ts'
import { longPollOf, pollTransport } from './send-poll.ts'
import { varyOnAccept } from './vary.ts'

/** Lets a framework take part, because its response headers are sent after the handler was called. */
export interface AnswerHooks {
  /** Whether the handler has responded itself, although nothing was sent yet. */
  hasResponded?(): boolean
  /** Responds to HEAD in the framework's own way. Returns whether it does. */
  respondToHead?(settings: Settings): boolean
  /** Called when the response headers were sent. */
  onHeaders?(): void
  /** Called with an error of a middleware's own `writeHead`. Nothing was sent, and the handler may have finished. */
  onHeadersError(error: unknown): void
}

/**
 * Responds to a Node.js request with the stream of a handler. Resolves with true when the handler has finished, with false
 * if the request does not get the stream; then nothing was sent. Rejects with an error of the handler; if the response
 * headers were not sent, the framework still has to respond. Without hooks, a response whose headers fail is destroyed.
 *
 * Throws `SseError`: `ERR_SSE_REQUEST`, `ERR_SSE_RESPONSE`, `ERR_SSE_HEADERS_SENT`.
 */
export async function answerRequest<Arguments extends readonly unknown[]>(
  request: NodeRequest,
  response: NodeResponse,
  routeSettings: HandlerSettings,
  handler: SseHandler<Arguments>,
  args: Arguments,
  hooks: AnswerHooks = { onHeadersError: () => nodeTransport(response).destroy() },
): Promise<boolean> {
  checkRequest(request)
  checkResponse(response)
  if (isClosed(response)) return true
  const settings = settingsFor(routeSettings, request.headers.accept, request.url)
  if (!settings) return decline(response, routeSettings)
  if (request.method === 'HEAD') {
    if (hooks.respondToHead?.(settings)) return true
    sendHead(response, settings)
    response.end()
    return true
  }
  const stream = openStream(request, response, settings, hooks)
  const delay = new HeaderDelay(stream, settings.maxHeaderDelay)
  // A stream that is not open yet does not listen for the disconnect of its client.
  if (settings.maxHeaderDelay) response.once('close', () => delay.end())
  try {
    await runHandler(stream, handler, args)
  } catch (error) {
    stream._abandon()
    throw error
  } finally {
    delay.end()
  }
  return true
}

function openStream(
  request: NodeRequest,
  response: NodeResponse,
  settings: Settings,
  hooks: AnswerHooks,
): SseStream {
  const poll = settings.poll && longPollOf(request, settings)
  const streamOf = () => stream
  const onError = (error: unknown) => hooks.onHeadersError(error)
  const begin = () =>
    poll ? pollTransport(response, settings, poll, streamOf, onError) : beginStream(response, settings)
  const openTransport = () => open(response, begin, hooks, () => stream.destroy())
  const stream = SseStream._open(openTransport, settings, resumePointOf(request))
  stream._pollCache = poll
  applyQuery(stream, settings, request)
  return stream
}

// RFC 9110 12.5.5: otherwise a cache may send the next handler's response to a client that accepts a stream.
function decline(response: NodeResponse, settings: Settings): boolean {
  // A route with several formats has no other handler.
  if (settings.formats.length > 1 && !settings.negotiate) {
    sendNotAcceptable(response, settings)
    return true
  }
  response.setHeader('Vary', varyOnAccept(response.getHeader('Vary')))
  return false
}

function beginStream(response: NodeResponse, settings: Settings): Transport {
  const encoding = sendHead(response, settings)
  return compress(nodeTransport(response), encoding, preambleOf(settings))
}

function open(
  response: NodeResponse,
  begin: () => Transport,
  hooks: AnswerHooks,
  destroy: () => void,
): Transport | undefined {
  const hasResponded = response.headersSent || hooks.hasResponded?.()
  // Otherwise the close reason would be that the client has disconnected.
  if (hasResponded) queueMicrotask(destroy)
  if (hasResponded || isClosed(response)) return undefined
  try {
    const transport = begin()
    hooks.onHeaders?.()
    return transport
  } catch (error) {
    queueMicrotask(() => hooks.onHeadersError(error))
    throw error
  }
}
