import { turn } from '../scheduler/turn.ts'
import { SseStream } from '../stream/stream.ts'
import type { NodeResponse } from '../transports/node-response.ts'
import { nodeTransport } from '../transports/node-socket.ts'
import { acceptsEventStream } from './accept.ts'
import { checkRequest } from './check-request.ts'
import { checkResponse, isClosed } from './check-response.ts'
import { runHandler, type SseHandler } from './handler.ts'
import { sendHead } from './head.ts'
import { type NodeRequest, positionOf } from './last-event-id.ts'
import type { Settings } from './options.ts'
import { varyOnAccept } from './vary.ts'

/** What a framework has to do with an answer whose head leaves later than its handler is called. */
export interface AnswerHooks {
  /** Whether the handler has answered by itself, though nothing has left yet. */
  isAnswered?(): boolean
  /** Whether the framework answers a HEAD itself, later. */
  answerHead?(): boolean
  /** Called when the head has left. */
  onHead?(): void
  /**
   * Told what a middleware's own `writeHead` throws: the response is still to be answered, and the handler may have come
   * to its end.
   */
  onHeadError(error: unknown): void
}

/**
 * Answers a request of Node with the stream of a handler. Resolves with false, and nothing was sent, when the client
 * does not accept a stream; with true when the handler has come to its end. Rejects with what the handler fails with:
 * when the head has not left, the response is still to be answered. Without hooks, one whose head fails is cut.
 *
 * Throws `SseError`: `ERR_SSE_REQUEST`, `ERR_SSE_RESPONSE`, `ERR_SSE_HEADERS_SENT`.
 */
export async function answerRequest<Arguments extends readonly unknown[]>(
  request: NodeRequest,
  response: NodeResponse,
  settings: Settings,
  handler: SseHandler<Arguments>,
  args: Arguments,
  hooks: AnswerHooks = { onHeadError: () => nodeTransport(response).destroy() },
): Promise<boolean> {
  checkRequest(request)
  checkResponse(response)
  if (isClosed(response)) return true
  if (!acceptsEventStream(request.headers.accept)) return passOn(response)
  if (request.method === 'HEAD') {
    if (!hooks.answerHead?.()) answerHead(response, settings)
    return true
  }
  const openTransport = () => {
    try {
      return open(response, settings, hooks, () => stream.destroy())
    } catch (error) {
      queueMicrotask(() => hooks.onHeadError(error))
      throw error
    }
  }
  const stream = SseStream._open(openTransport, settings, positionOf(request))
  turn.scheduleFlush({ _flush: () => stream._begin() })
  try {
    await runHandler(stream, handler, args)
  } catch (error) {
    stream._abandon()
    throw error
  }
  return true
}

// Whoever answers now: a cache must not take that for what another client accepts (RFC 9110 12.5.5).
function passOn(response: NodeResponse): false {
  response.setHeader('Vary', varyOnAccept(response.getHeader('Vary')))
  return false
}

function answerHead(response: NodeResponse, settings: Settings): void {
  sendHead(response, settings)
  response.end()
}

function open(response: NodeResponse, settings: Settings, hooks: AnswerHooks, answeredItself: () => void) {
  const isAnswered = response.headersSent || hooks.isAnswered?.()
  // Otherwise the stream would say that its client has left.
  if (isAnswered) queueMicrotask(answeredItself)
  if (isAnswered || isClosed(response)) return undefined
  sendHead(response, settings)
  hooks.onHead?.()
  return nodeTransport(response)
}
