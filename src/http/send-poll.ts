import type { OutgoingHttpHeaders } from 'node:http'
import type { SseStream } from '../stream/stream.ts'
import type { NodeResponse } from '../transports/node-response.ts'
import type { Transport } from '../transports/transport.ts'
import { WholeResponse } from '../transports/whole-response.ts'
import { closeHeaders } from './closing.ts'
import { queryOf } from './formats.ts'
import { hasHeader } from './has-header.ts'
import { clearMessage, streamHeaders } from './head.ts'
import type { NodeRequest } from './last-event-id.ts'
import type { Settings } from './options.ts'
import { LongPoll, type PollAnswer } from './poll-answer.ts'
import { varyOn } from './vary.ts'

/** Returns the long poll of a Node.js request, or undefined if it gets a stream. */
export function longPollOf({ headers, method, url }: NodeRequest, settings: Settings): LongPoll | undefined {
  if (!settings.poll) return undefined
  const request = {
    method,
    isAuthorized: headers.authorization !== undefined,
    acceptEncoding: headers['accept-encoding'],
    ifNoneMatch: headers['if-none-match'],
    cursor: headers['last-event-id'] ? undefined : queryOf(url).get('lastEventId'),
  }
  return new LongPoll(request, settings)
}

/** Hooks of a framework in the response to a long poll. */
export interface PollHooks {
  /** Called before the response headers are decided. Sets the headers of the framework on the response. */
  beforeHeaders?(): void
  /** Called when the response headers were sent. */
  onHeaders?(): void
  /** Called with an error of a middleware's own `writeHead`, and MUST respond. Default: the response is destroyed. */
  onHeadersError?(error: unknown): void
}

/** Returns the transport of a long poll, whose response is sent when the stream has ended. */
export function pollTransport(
  response: NodeResponse,
  settings: Settings,
  poll: LongPoll,
  streamOf: () => SseStream,
  hooks: PollHooks = {},
): Transport {
  const has = (name: string) => hasHeader(settings.headers, name) || response.hasHeader(name)
  const isPrivate = () => has('Set-Cookie') || has('Cache-Control') || isWrapped(response)
  const transport = new WholeResponse(response, async (lines) => {
    hooks.beforeHeaders?.()
    const own = { hasEncoding: has('Content-Encoding'), isPrivate: isPrivate() }
    const answer = await poll.answer(streamOf(), lines, own)
    if (response.destroyed || response.headersSent || transport.isReleased) return
    // A cookie may have been set while the body was compressed.
    hooks.beforeHeaders?.()
    const headers = { ...streamHeaders(response, settings), ...(poll.isShutDown && closeHeaders(response)) }
    try {
      sendHeaders(response, headers, isPrivate() ? withoutCache(answer) : answer)
    } catch (error) {
      if (!hooks.onHeadersError) throw error
      return hooks.onHeadersError(error)
    }
    hooks.onHeaders?.()
    transport.endWith(answer.body)
  })
  return transport
}

// True if a middleware wraps `writeHead`. It may set a cookie there, after the headers were decided.
function isWrapped(response: NodeResponse): boolean {
  return Object.hasOwn(response, 'writeHead')
}

function withoutCache(answer: PollAnswer): PollAnswer {
  const { 'Cache-Control': _, ETag: __, ...headers } = answer.headers
  return { ...answer, headers }
}

function sendHeaders(
  response: NodeResponse,
  own: OutgoingHttpHeaders,
  { status, headers, body }: PollAnswer,
): void {
  const all: OutgoingHttpHeaders = { ...own, ...headers }
  if (headers.Vary) all.Vary = varyOn(all.Vary ?? response.getHeader('Vary'), headers.Vary)
  // RFC 9112 6.2: for example, Fastify sets `Transfer-Encoding` for trailers.
  if (body && !response.hasHeader('Transfer-Encoding')) all['Content-Length'] = body.length
  clearMessage(response, status)
  response.writeHead(status, all)
}
