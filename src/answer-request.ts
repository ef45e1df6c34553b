import { checkRequest } from './check-request.ts'
import { checkResponse, isGone } from './check-response.ts'
import { runHandler, type SseHandler } from './handler.ts'
import { acceptsEventStream, type NodeRequest, positionOf } from './negotiate.ts'
import type { Settings } from './options.ts'
import { SseStream } from './stream.ts'
import { sendHead } from './transports/head.ts'
import { LateTransport } from './transports/late.ts'
import { type NodeResponse, nodeTransport } from './transports/node.ts'
import { flushAfterTurn } from './turn.ts'

/**
 * Answers a request of Node with the stream of a handler. Resolves with false, and nothing was sent, when the client
 * does not accept a stream; with true when the handler has come to its end. Rejects with what the handler fails with:
 * when the head has not left, the response is still to be answered.
 *
 * Throws `SseError`: `ERR_SSE_REQUEST`, `ERR_SSE_RESPONSE`, `ERR_SSE_HEAD_SENT`.
 */
export async function answerRequest<Arguments extends readonly unknown[]>(
  request: NodeRequest,
  response: NodeResponse,
  settings: Settings,
  handler: SseHandler<Arguments>,
  args: Arguments,
): Promise<boolean> {
  checkRequest(request)
  checkResponse(response)
  if (isGone(response)) return true
  if (!acceptsEventStream(request.headers.accept)) return false
  if (request.method === 'HEAD') return answerHead(response, settings)
  const transport = new LateTransport(() => open(response, settings))
  const stream = SseStream._open(transport, settings, positionOf(request))
  flushAfterTurn({ _flush: () => transport.begin() })
  try {
    await runHandler(stream, handler, args)
  } catch (error) {
    transport.abandon()
    throw error
  }
  return true
}

function answerHead(response: NodeResponse, settings: Settings): true {
  sendHead(response, settings)
  response.end()
  return true
}

// The handler may have answered by itself.
function open(response: NodeResponse, settings: Settings) {
  if (response.headersSent || isGone(response)) return undefined
  sendHead(response, settings)
  return nodeTransport(response)
}
