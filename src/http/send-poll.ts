import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { SseStream } from '../stream/stream.ts'
import type { NodeResponse } from '../transports/node-response.ts'
import type { Transport } from '../transports/transport.ts'
import { WholeResponse } from '../transports/whole-response.ts'
import { queryOf } from './formats.ts'
import { NOT_CACHED, streamHeaders } from './head.ts'
import type { NodeRequest } from './last-event-id.ts'
import type { Settings } from './options.ts'
import { LongPoll, type PollAnswer } from './poll-answer.ts'
import { varyOn } from './vary.ts'

/** Returns the long poll of a Node.js request. */
export function longPollOf({ headers, method, url }: NodeRequest, settings: Settings): LongPoll {
  const cursor = headers['last-event-id'] ? undefined : queryOf(url).get('lastEventId')
  const request = {
    method,
    acceptEncoding: headers['accept-encoding'] as string | undefined,
    ifNoneMatch: headers['if-none-match'],
    cursor: cursor ?? undefined,
  }
  return new LongPoll(request, settings)
}

/** Returns the transport of a long poll, whose response is sent when the stream has ended. */
export function pollTransport(
  response: NodeResponse,
  settings: Settings,
  poll: LongPoll,
  streamOf: () => SseStream,
): Transport {
  return new WholeResponse(response, async (lines) => {
    const own = streamHeaders(response, settings)
    const has = (name: string) => response.hasHeader(name) || ownHeader(own, name) !== undefined
    const isPrivate = has('Set-Cookie') || ownHeader(own, 'Cache-Control') !== NOT_CACHED
    const answer = await poll.answer(streamOf(), lines, { hasEncoding: has('Content-Encoding'), isPrivate })
    if (response.destroyed || response.headersSent) return
    sendAnswer(response as ServerResponse, own, answer)
  })
}

function ownHeader(headers: OutgoingHttpHeaders, name: string): unknown {
  return Object.entries(headers).find(([each]) => each.toLowerCase() === name.toLowerCase())?.[1]
}

function sendAnswer(
  response: ServerResponse,
  own: OutgoingHttpHeaders,
  { status, headers, body }: PollAnswer,
): void {
  const all: OutgoingHttpHeaders = { ...own, ...headers }
  if (headers.Vary) all.Vary = varyOn(all.Vary ?? response.getHeader('Vary'), headers.Vary)
  if (body) all['Content-Length'] = body.length
  response.writeHead(status, all)
  response.end(body)
}
