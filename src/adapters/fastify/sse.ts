import type { OutgoingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import type {
  ContextConfigDefault,
  FastifyBaseLogger,
  FastifyReply,
  FastifyRequest,
  FastifySchema,
  FastifyTypeProvider,
  FastifyTypeProviderDefault,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerBase,
  RawServerDefault,
  RouteGenericInterface,
} from 'fastify'
import type { AnyEvents, EventMap, Given } from '../../event/event.ts'
import { admit, isGuarded } from '../../http/admit.ts'
import { answerRequest } from '../../http/answer-request.ts'
import { checkCall } from '../../http/check-request.ts'
import { notAcceptableText } from '../../http/formats.ts'
import { checkHandler, type SseHandler } from '../../http/handler.ts'
import {
  type HandlerSettings,
  resolveHandlerOptions,
  type SseHandlerOptions,
} from '../../http/handler-options.ts'
import { refusalHeaders, streamHeaders } from '../../http/head.ts'
import { resumePointOf } from '../../http/last-event-id.ts'
import type { Settings } from '../../http/options.ts'
import { refusalAnswer, refusedRequest } from '../../http/refusal-answer.ts'
import { settingsFor } from '../../http/representation.ts'
import { varyOnAccept } from '../../http/vary.ts'
import { shutdownRefusalOf } from '../../lifecycle/draining.ts'
import type { Refusal } from '../../stream/refusal.ts'
import { SseStream } from '../../stream/stream.ts'
import { addStream } from './plugin.ts'
import { type AnyReply, copyHeaders, StreamBody } from './stream-body.ts'

/**
 * Creates a route handler of Fastify 5 whose response is an event stream:
 *
 * ```js
 * import Fastify from 'fastify'
 * import { Hub } from 'spillway'
 * import { spillwayPlugin, sse } from 'spillway/fastify'
 *
 * const time = new Hub().channel('time')
 * setInterval(() => time.publish({ data: new Date() }), 1000)
 * const fastify = Fastify().register(spillwayPlugin)
 * fastify.get('/time', sse((stream) => time.subscribe(stream)))
 * fastify.listen({ port: 3000 })
 * ```
 *
 * All hooks run, and `onSend` runs before the handler. A request that refuses event streams and an error of the
 * handler go to Fastify's error handler, the former as a 406. If the response headers were sent, an error destroys the
 * stream and goes to `request.log.error`. An async route that calls the returned function must return its result.
 *
 * Throws `SseError` `ERR_SSE_HANDLER` or `ERR_SSE_OPTION`. The route handler throws `ERR_SSE_REQUEST` outside
 * of Fastify.
 */
export function sse<
  Events extends EventMap = AnyEvents,
  // The types of the route, which Fastify infers where the handler is mounted.
  Route extends RouteGenericInterface = RouteGenericInterface,
  Server extends RawServerBase = RawServerDefault,
  Config = ContextConfigDefault,
  Schema extends FastifySchema = FastifySchema,
  Types extends FastifyTypeProvider = FastifyTypeProviderDefault,
  Logger extends FastifyBaseLogger = FastifyBaseLogger,
>(
  handler: SseHandler<RouteArguments<Route, Server, Config, Schema, Types, Logger>, Events>,
  options?: SseHandlerOptions<Given<Events>, RouteArguments<Route, Server, Config, Schema, Types, Logger>[0]>,
): (...args: RouteArguments<Route, Server, Config, Schema, Types, Logger>) => void {
  checkHandler(handler)
  const routeSettings = resolveHandlerOptions(options)
  const tracked: typeof handler = (stream, request, reply) => {
    addStream(reply.server, stream)
    return handler(stream, request, reply)
  }
  return (request, reply) => {
    checkCall(reply?.raw && reply.hijack, 'spillway/fastify', 'a reply')
    const settings = settingsFor(routeSettings, request.headers.accept, request.url)
    if (!settings) throw notAcceptable(reply, routeSettings)
    if (request.method === 'HEAD')
      return isGuarded(settings) ? guardedHead(request, reply, settings) : sendHeadOf(reply, settings)
    const body = new StreamBody(reply, (hooks) => {
      reply.removeHeader('Content-Type') // an error response sets its own
      return answerRequest(request.raw, reply.raw, settings, tracked, [request, reply], hooks)
    })
    // Compression plugins decide by the content type. Returns the reply, because Fastify does not send the response of
    // an async route that resolves with undefined.
    return reply.type('text/event-stream').send(body as never)
  }
}

type RouteArguments<
  Route extends RouteGenericInterface,
  Server extends RawServerBase,
  Config,
  Schema extends FastifySchema,
  Types extends FastifyTypeProvider,
  Logger extends FastifyBaseLogger,
  RawRequest extends RawRequestDefaultExpression<Server> = RawRequestDefaultExpression<Server>,
> = readonly [
  request: FastifyRequest<Route, Server, RawRequest, Schema, Types, Config, Logger>,
  reply: FastifyReply<Route, Server, RawRequest, RawReplyDefaultExpression<Server>, Config, Schema, Types>,
]

function sendHeadOf(reply: AnyReply, settings: Settings): AnyReply {
  copyHeaders(reply)
  return sendHead(reply, settings.status, streamHeaders(reply.raw, settings))
}

function sendHead(reply: AnyReply, status: number, headers: OutgoingHttpHeaders): AnyReply {
  reply.removeHeader('Content-Length')
  for (const [name, value] of Object.entries(headers)) reply.removeHeader(name).header(name, value)
  // The body of a GET has no known length, and an empty stream makes Fastify omit `Content-Length`.
  return reply.code(status).send(Readable.from([]))
}

// Admits a HEAD request on a stream without a body, because Fastify discards the body, and with it its stream.
async function guardedHead(request: object, reply: AnyReply, settings: HandlerSettings): Promise<AnyReply> {
  const { raw } = reply.request
  let refusal: Refusal | undefined
  const refuse = (given?: Refusal) => {
    refusal = given
    return undefined
  }
  const origin = { request, context: settings.context, isUndecided: true }
  const stream = SseStream._open(refuse, settings, resumePointOf(raw), origin)
  await admit(stream, settings, () => shutdownRefusalOf(raw))
  stream._connection.abandon()
  stream.destroy()
  // A hook may have responded meanwhile.
  if (reply.sent) return reply
  if (!refusal) return sendHeadOf(reply, settings)
  const answer = refusalAnswer(refusal, stream.format, refusedRequest(raw))
  copyHeaders(reply)
  reply.removeHeader('Content-Type').removeHeader('Content-Encoding')
  return sendHead(reply, answer.status, refusalHeaders(reply.raw, settings, answer))
}

// RFC 9110 15.5.7. Nest recognizes an HTTP error by `status` and `expose`.
function notAcceptable(reply: AnyReply, settings: Settings): Error {
  reply.headers(settings.headers).removeHeader('Content-Type') // an error response sets its own
  reply.header('Vary', varyOnAccept(reply.getHeader('Vary')))
  return Object.assign(new Error(notAcceptableText(settings).trim()), {
    statusCode: 406,
    status: 406,
    expose: true,
  })
}
