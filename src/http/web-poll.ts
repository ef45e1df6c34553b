import { SseStream } from '../stream/stream.ts'
import { WholeWebBody } from '../transports/whole-web-body.ts'
import { applyWebQuery } from './apply-query.ts'
import { isOfNext } from './content-encoding.ts'
import { disconnectOnAbort } from './disconnect-on-abort.ts'
import { queryOf } from './formats.ts'
import { NOT_CACHED } from './head.ts'
import { resumePointOfWeb } from './last-event-id.ts'
import type { Settings } from './options.ts'
import { LongPoll, type PollAnswer } from './poll-answer.ts'
import { varyOn } from './vary.ts'

/** A long poll of a fetch server. */
export interface WebPoll {
  /** Status and headers of the response, as far as they are known before its events. */
  readonly response: Response
  readonly stream: SseStream
  /** The response. It is a 503 if the stream was destroyed. Never rejects. */
  readonly later: Promise<Response>
}

/** Opens the stream of a long poll. With `onBegin`, it begins with its first event or `_begin`, and `onBegin` is called. */
export function openWebPoll(
  request: Request,
  settings: Settings,
  response: Response,
  onBegin: () => void = () => {},
): WebPoll {
  const poll = longPollOf(request, settings)
  let respond = (_: readonly Buffer[] | undefined) => {}
  const ended = new Promise<readonly Buffer[] | undefined>((resolve) => {
    respond = resolve
  })
  const transport = new WholeWebBody((body) => respond(body))
  const begin = () => {
    onBegin()
    return transport
  }
  const stream = SseStream._open(begin, settings, resumePointOfWeb(request))
  stream._pollCache = poll
  applyWebQuery(stream, settings, request)
  disconnectOnAbort(request.signal, transport, stream)
  return { response, stream, later: ended.then((body) => responseTo(poll, stream, response.headers, body)) }
}

/** Returns a response that sends the body of another one when it is known. */
export function laterResponse({ status, headers }: Response, later: Promise<Response>): Response {
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      controller.enqueue(new Uint8Array(await (await later).arrayBuffer()))
      controller.close()
    },
  })
  return new Response(body, { status, headers })
}

function longPollOf(request: Request, settings: Settings): LongPoll {
  const { headers, method, url } = request
  const cursor = headers.get('last-event-id') ? undefined : queryOf(url).get('lastEventId')
  const poll = {
    method,
    acceptEncoding: isOfNext(request) ? undefined : headers.get('accept-encoding'),
    ifNoneMatch: headers.get('if-none-match'),
    cursor: cursor ?? undefined,
  }
  return new LongPoll(poll, settings)
}

async function responseTo(
  poll: LongPoll,
  stream: SseStream,
  own: Headers,
  lines: readonly Buffer[] | undefined,
): Promise<Response> {
  if (!lines) return new Response(null, { status: 503, headers: { 'Cache-Control': 'no-store' } })
  const isPrivate = own.has('set-cookie') || own.get('cache-control') !== NOT_CACHED
  return withHeaders(
    own,
    await poll.answer(stream, lines, { hasEncoding: own.has('content-encoding'), isPrivate }),
  )
}

function withHeaders(own: Headers, { status, headers, body }: PollAnswer): Response {
  const all = new Headers(own)
  for (const [name, value] of Object.entries(headers))
    all.set(name, name === 'Vary' ? varyOn(own.get('vary'), value) : value)
  if (!body) return new Response(null, { status, headers: all })
  all.set('Content-Length', String(body.length))
  return new Response(new Uint8Array(body), { status, headers: all })
}
