import type { AnyEvents } from '../event/event.ts'
import { shutdownRefusalOf } from '../lifecycle/draining.ts'
import type { Origin } from '../stream/origin.ts'
import type { Refusal } from '../stream/refusal.ts'
import { SseStream } from '../stream/stream.ts'
import { type NodeResponse, onClose } from '../transports/node-response.ts'
import { nodeTransport } from '../transports/node-socket.ts'
import type { Transport } from '../transports/transport.ts'
import { admit, beginAdmitted, isGuarded } from './admit.ts'
import { applyQuery } from './apply-query.ts'
import { beginResponse } from './begin-response.ts'
import { checkRequest } from './check-request.ts'
import { checkResponse, isClosed } from './check-response.ts'
import { runHandler, type SseHandler } from './handler.ts'
import type { HandlerSettings } from './handler-options.ts'
import { sendHead, sendNotAcceptable, sendRefusal } from './head.ts'
import { HeaderDelay } from './header-delay.ts'
import { type NodeRequest, resumePointOf } from './last-event-id.ts'
import type { Settings } from './options.ts'
import { settingsFor } from './representation.ts'
import { longPollOf } from './send-poll.ts'
import { varyOnAccept } from './vary.ts'
import { warnOfSettings } from './warn-settings.ts'

/** Hooks of a framework whose response headers are sent after the handler was called. */
export interface AnswerHooks {
  /** The framework's request. Default: that of Node.js. */
  readonly request?: unknown
  /** Called before the first `await`, because an earlier middleware may not await the handler. */
  takeOver?(): void
  /** Whether the handler has responded itself, although nothing was sent yet. */
  hasResponded?(): boolean
  /** Responds to HEAD in the framework's own way. Returns whether it does. */
  respondToHead?(settings: Settings): boolean
  /** Called before the response headers are decided. Sets the headers of the framework on the response. */
  beforeHeaders?(): void
  /** Called when the response headers were sent. */
  onHeaders?(): void
  /** Called with an error of a middleware's own `writeHead`. Nothing was sent, and the handler may have finished. */
  onHeadersError(error: unknown): void
}

/** A request to a route, and its response. */
interface Exchange {
  readonly request: NodeRequest
  readonly response: NodeResponse
  readonly settings: HandlerSettings
  readonly hooks: AnswerHooks
}

/**
 * Responds to a Node.js request with the stream of a handler. Resolves with true when the handler has finished, with
 * false if the request does not get the stream; then nothing was sent. Rejects with an error of the handler; if the
 * response headers were not sent, the framework still has to respond. Without hooks, a response whose headers fail is
 * destroyed.
 *
 * Throws `SseError`: `ERR_SSE_REQUEST`, `ERR_SSE_RESPONSE`, `ERR_SSE_HEADERS_SENT`.
 */
export async function answerRequest<Arguments extends readonly unknown[]>(
  request: NodeRequest,
  response: NodeResponse,
  routeSettings: HandlerSettings,
  handler: SseHandler<Arguments, AnyEvents, never, never>,
  args: Arguments,
  hooks: AnswerHooks = { onHeadersError: () => nodeTransport(response).destroy() },
): Promise<boolean> {
  checkRequest(request)
  checkResponse(response)
  if (isClosed(response)) return true
  const settings = settingsFor(routeSettings, request.headers.accept, request.url)
  if (!settings) return decline(response, routeSettings)
  const exchange = { request, response, settings, hooks }
  const isHead = request.method === 'HEAD'
  const isUndecided = isGuarded(settings)
  if (isHead && !isUndecided) return respondToHead(exchange)
  const refusal = shutdownRefusalOf(request)
  if (refusal) return refuseForShutdown(exchange, refusal)
  warnOfSettings(request, settings)
  const stream = openStream(exchange)
  hooks.takeOver?.()
  if (isUndecided && !(await isAdmitted(stream, exchange))) return true
  if (isHead) {
    stream._connection.abandon()
    stream.destroy()
    // A middleware may have responded while the client was authorized.
    return response.headersSent || respondToHead(exchange)
  }
  if (isUndecided) beginAdmitted(stream)
  await handle(stream, exchange, handler, args)
  return true
}

// Resolves with whether the client gets the stream. A stream that is not open does not listen for its disconnect.
async function isAdmitted(stream: SseStream, { request, response, settings }: Exchange): Promise<boolean> {
  const stopWatching = onClose(response, () => stream._connection.begin())
  try {
    return await admit(stream, settings, () => shutdownRefusalOf(request))
  } finally {
    stopWatching()
  }
}

async function handle<Arguments extends readonly unknown[]>(
  stream: SseStream,
  { response, settings: { maxHeaderDelay } }: Exchange,
  handler: SseHandler<Arguments, AnyEvents, never, never>,
  args: Arguments,
): Promise<void> {
  const delay = new HeaderDelay(stream, maxHeaderDelay)
  // A stream that is not open yet does not listen for the disconnect of its client.
  if (maxHeaderDelay) onClose(response, () => delay.end())
  try {
    await runHandler(stream, handler, args)
  } finally {
    delay.end()
  }
}

function respondToHead({ response, settings, hooks }: Exchange): true {
  if (hooks.respondToHead?.(settings)) return true
  sendHead(response, settings)
  response.end()
  return true
}

function openStream(exchange: Exchange): SseStream {
  const { request, response, settings, hooks } = exchange
  const poll = longPollOf(request, settings)
  const openTransport = (refusal?: Refusal) => {
    const begin = () =>
      refusal ? refuse(exchange, refusal) : beginResponse(response, settings, poll, () => stream, hooks)
    return open(exchange, begin, () => stream.destroy())
  }
  const origin = { ...originOf(exchange), isUndecided: isGuarded(settings) }
  const stream = SseStream._open(openTransport, settings, resumePointOf(request), origin)
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

function refuseForShutdown(exchange: Exchange, refusal: Refusal): true {
  const { request, settings, hooks } = exchange
  hooks.takeOver?.()
  refuse(exchange, refusal)
  // Reports the stream that is refused.
  SseStream._closed('shutdown', settings, resumePointOf(request), originOf(exchange))
  return true
}

function originOf({ request, settings: { context, expiresAt }, hooks }: Exchange): Origin {
  return { request: hooks.request ?? request, context, expiresAt }
}

function refuse({ response, settings, hooks }: Exchange, refusal: Refusal): undefined {
  hooks.beforeHeaders?.()
  sendRefusal(response, settings, refusal)
  hooks.onHeaders?.()
}

function open(
  { response, hooks }: Exchange,
  begin: () => Transport | undefined,
  destroy: () => void,
): Transport | undefined {
  const hasResponded = response.headersSent || hooks.hasResponded?.()
  // Otherwise the close reason would be `client`.
  if (hasResponded) queueMicrotask(destroy)
  if (hasResponded || isClosed(response)) return undefined
  try {
    return begin()
  } catch (error) {
    queueMicrotask(() => hooks.onHeadersError(error))
    throw error
  }
}
