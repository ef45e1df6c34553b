import type { Origin } from '../stream/origin.ts'
import type { Refusal } from '../stream/refusal.ts'
import { SseStream } from '../stream/stream.ts'
import { WholeWebBody } from '../transports/whole-web-body.ts'
import { applyWebQuery } from './apply-query.ts'
import { addCloseHeader } from './closing.ts'
import { isOfNext } from './content-encoding.ts'
import { disconnectOnAbort } from './disconnect-on-abort.ts'
import { queryOf } from './formats.ts'
import { hasHeader } from './has-header.ts'
import { resumePointOfWeb } from './last-event-id.ts'
import type { Settings } from './options.ts'
import { LongPoll, type PollAnswer, type PollRequest } from './poll-answer.ts'
import { varyOn } from './vary.ts'

/** A long poll of a fetch server. */
export interface WebPoll {
  /** Status and headers of the response, as far as they are known before its events. */
  readonly response: Response
  readonly stream: SseStream
  /** The response. It is a 503 without a body if the stream was destroyed. Never rejects. */
  readonly later: Promise<Response>
  /** Ends the stream because the client has disconnected. */
  disconnect(): void
}

/**
 * Opens the stream of a long poll. With `onBegin`, it begins with its first event or `begin`, and `onBegin` is called.
 * Otherwise only the body can depend on the events, so that it is neither compressed nor a 304.
 */
export function openWebPoll(
  request: Request,
  settings: Settings,
  response: Response,
  onBegin: ((refusal?: Refusal) => void) | undefined,
  origin: Origin,
): WebPoll {
  const poll = new LongPoll(pollRequest(request, onBegin === undefined), settings)
  let respond = (_: readonly Buffer[] | undefined) => {}
  const ended = new Promise<readonly Buffer[] | undefined>((resolve) => {
    respond = resolve
  })
  const transport = new WholeWebBody((body) => respond(body))
  const begin = (refusal?: Refusal) => {
    onBegin?.(refusal)
    return refusal === undefined ? transport : undefined
  }
  const stream = SseStream._open(onBegin ? begin : transport, settings, resumePointOfWeb(request), origin)
  stream._pollCache = poll
  applyWebQuery(stream, settings, request)
  const disconnect = disconnectOnAbort(request.signal, transport, stream)
  // A handler that fails completes its response, which is sent already.
  if (!onBegin) stream._addCloseTarget({ _streamClosed: () => respond(undefined) })
  const later = ended.then(async (body) => {
    const answer = await responseTo(poll, stream, settings, response.headers, body)
    if (poll.isShutDown) addCloseHeader(answer.headers, request)
    return answer
  })
  return { response, stream, later, disconnect }
}

/** Returns the response to a long poll, whose body is sent when it is complete. */
export function earlyResponse({ response, later, disconnect }: WebPoll): Response {
  const { status, headers } = response
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const answer = await later
      // Servers do not report an error with this name as a failure.
      if (!answer.body) controller.error(new DOMException('The stream was destroyed.', 'AbortError'))
      else {
        controller.enqueue(new Uint8Array(await answer.arrayBuffer()))
        controller.close()
      }
    },
    cancel: disconnect,
  })
  return new Response(body, { status, headers })
}

function pollRequest(request: Request, isEarly: boolean): PollRequest {
  const { headers, method, url } = request
  return {
    method,
    isAuthorized: headers.has('authorization'),
    acceptEncoding: isEarly || isOfNext(request) ? undefined : headers.get('accept-encoding'),
    ifNoneMatch: isEarly ? undefined : headers.get('if-none-match'),
    cursor: headers.get('last-event-id') ? undefined : queryOf(url).get('lastEventId'),
  }
}

async function responseTo(
  poll: LongPoll,
  stream: SseStream,
  settings: Settings,
  own: Headers,
  lines: readonly Buffer[] | undefined,
): Promise<Response> {
  if (!lines) return new Response(null, { status: 503, headers: { 'Cache-Control': 'no-store' } })
  const has = (name: string) => hasHeader(settings.headers, name)
  const isPrivate = has('Set-Cookie') || has('Cache-Control')
  return withHeaders(
    own,
    await poll.answer(stream, lines, { hasEncoding: has('Content-Encoding'), isPrivate }),
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
