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
import type { AnyEvents, EventMap } from '../../event/event.ts'
import { acceptsEventStream } from '../../http/accept.ts'
import { answerRequest } from '../../http/answer-request.ts'
import { checkHandler, type SseHandler } from '../../http/handler.ts'
import { NOT_ACCEPTABLE, streamHeaders } from '../../http/head.ts'
import { resolveOptions, type Settings, type SseStreamOptions } from '../../http/options.ts'
import { varyOnAccept } from '../../http/vary.ts'
import type { SseStream } from '../../stream/stream.ts'
import { addStream } from './plugin.ts'
import { type AnyReply, StreamBody } from './stream-body.ts'

/**
 * A route handler of Fastify 5 that answers with an event stream:
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
 * Hooks run as for any answer, `onSend` before the handler. A request that does not accept a stream is a 406 of
 * Fastify's error handler. So is what the handler fails with; once the head has left, the stream is destroyed and the
 * error goes to `request.log.error`. An async route that calls it returns what it returns.
 *
 * Throws `SseError`: `ERR_SSE_HANDLER`, `ERR_SSE_OPTION`.
 */
export function sse<
  Events extends EventMap = AnyEvents,
  // What Fastify knows of the route; it follows from where the handler is mounted.
  Route extends RouteGenericInterface = RouteGenericInterface,
  Server extends RawServerBase = RawServerDefault,
  Config = ContextConfigDefault,
  Schema extends FastifySchema = FastifySchema,
  Types extends FastifyTypeProvider = FastifyTypeProviderDefault,
  Logger extends FastifyBaseLogger = FastifyBaseLogger,
>(
  handler: SseHandler<RouteArguments<Route, Server, Config, Schema, Types, Logger>, Events>,
  options?: SseStreamOptions<Events>,
): (...args: RouteArguments<Route, Server, Config, Schema, Types, Logger>) => void {
  checkHandler(handler)
  const settings = resolveOptions(options)
  const opened: typeof handler = (stream, request, reply) => {
    addStream(reply.server, stream as SseStream)
    return handler(stream, request, reply)
  }
  return (request, reply) => {
    if (!acceptsEventStream(request.headers.accept)) throw notAcceptable(reply)
    if (request.method === 'HEAD') return sendHeadOf(reply, settings)
    const body = new StreamBody(reply, (hooks) => {
      reply.removeHeader('Content-Type') // the answer to an error has another
      const late = withHeadersOf(reply, settings)
      return answerRequest(request.raw, reply.raw, late, opened, [request, reply], hooks)
    })
    return sendBody(reply, body)
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
  RawReply extends RawReplyDefaultExpression<Server> = RawReplyDefaultExpression<Server>,
> = readonly [
  request: FastifyRequest<Route, Server, RawRequest, Schema, Types, Config, Logger>,
  reply: FastifyReply<Route, Server, RawRequest, RawReply, Config, Schema, Types>,
]

// An async route returns the reply: what returns nothing has Fastify send nothing.
function sendBody(reply: AnyReply, body: Readable): AnyReply {
  // Compression goes by the type.
  return reply.type('text/event-stream').send(body)
}

/** The options of one answer. Its headers are read when the head leaves: until then the handler may add to the reply's. */
function withHeadersOf(reply: AnyReply, settings: Settings): Settings {
  return {
    ...settings,
    get headers() {
      copyHeaders(reply)
      return settings.headers
    },
  }
}

function copyHeaders(reply: AnyReply): void {
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    reply.raw.setHeader(name, value as string | string[])
  }
}

function sendHeadOf(reply: AnyReply, settings: Settings): AnyReply {
  copyHeaders(reply)
  for (const [name, value] of Object.entries(streamHeaders(reply.raw, settings.headers))) {
    reply.removeHeader(name).header(name, value)
  }
  return reply.code(settings.status).send(Readable.from([]))
}

// RFC 9110 15.5.7. `status` and `expose` are how Nest knows an error of HTTP.
function notAcceptable(reply: AnyReply): Error {
  reply.header('Vary', varyOnAccept(reply.getHeader('Vary')))
  return Object.assign(new Error(NOT_ACCEPTABLE.trim()), { statusCode: 406, status: 406, expose: true })
}
