import { once } from 'node:events'
import { Readable } from 'node:stream'
import type {
  ContextConfigDefault,
  FastifyBaseLogger,
  FastifyPluginAsync,
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
import vary from 'vary'
import { answerRequest } from '../answer-request.ts'
import { between, checkOptions, MAX_TIME, withDefaults } from '../check-options.ts'
import { spread } from '../deadlines.ts'
import { SseError } from '../errors.ts'
import type { AnyEvents, EventMap } from '../event.ts'
import { checkHandler, type SseHandler } from '../handler.ts'
import type { ShutdownOptions } from '../hub.ts'
import { acceptsEventStream } from '../negotiate.ts'
import { resolveOptions, type Settings, type SseStreamOptions } from '../options.ts'
import type { SseStream } from '../stream.ts'
import { NOT_ACCEPTABLE, streamHeaders } from '../transports/head.ts'

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
 * error goes to `request.log.error`.
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
    streamsOf(reply.server).add(stream as SseStream)
    return handler(stream, request, reply)
  }
  return (request, reply) => {
    if (!acceptsEventStream(request.headers.accept)) throw notAcceptable(reply)
    if (request.method === 'HEAD') return sendHeadOf(reply, settings)
    const body: StreamBody = new StreamBody(reply.raw, () => {
      reply.removeHeader('Content-Type') // the answer to an error has another
      const late = withHeadersOf(reply, settings)
      answerRequest(request.raw, reply.raw, late, opened, [request, reply], fail).catch(fail)
    })
    const fail = (error: unknown) => {
      if (reply.raw.headersSent) request.log.error({ err: error }, 'An event stream was ended by an error.')
      else body.fail(error)
    }
    sendBody(reply, body)
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

type AnyReply = FastifyReply<RouteGenericInterface, RawServerBase>

function sendBody(reply: AnyReply, body: Readable): void {
  // Compression goes by the type.
  reply.type('text/event-stream').send(body)
}

/**
 * What Fastify is given to send: so its `onSend` hooks run, which serialise cookies, save sessions and count. When it
 * pipes the body into the response, the response is taken over.
 */
class StreamBody extends Readable {
  readonly #response: unknown
  readonly #takeOver: () => void

  constructor(response: unknown, takeOver: () => void) {
    super()
    this.#response = response
    this.#takeOver = takeOver
    this.on('error', () => {}) // a hook may have put another body in its place
  }

  override pipe<T extends NodeJS.WritableStream>(destination: T): T {
    if (destination !== this.#response) throw isRead()
    this.#takeOver()
    return destination
  }

  override _read(): void {
    this.fail(isRead())
  }

  /** Has Fastify answer with an error. */
  fail(error: unknown): void {
    super.destroy(error as Error)
  }

  /** Asked for by Fastify when the response is over, which the stream sees for itself. It would count as a failure. */
  override destroy(): this {
    return this
  }
}

function isRead(): SseError {
  const message = 'An onSend hook reads the body of an event stream: have it leave text/event-stream alone.'
  return new SseError('ERR_SSE_RESPONSE', message)
}

/** The options of one answer. Its headers are read when the head leaves: until then the handler may add to the reply's. */
function withHeadersOf(reply: AnyReply, settings: Settings): Settings {
  return {
    ...settings,
    get headers() {
      copyHeaders(reply)
      reply.hijack()
      return settings.headers
    },
  }
}

function copyHeaders(reply: AnyReply): void {
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    reply.raw.setHeader(name, value as string | string[])
  }
}

function sendHeadOf(reply: AnyReply, settings: Settings): void {
  copyHeaders(reply)
  for (const [name, value] of Object.entries(streamHeaders(reply.raw, settings.headers))) {
    reply.removeHeader(name).header(name, value)
  }
  reply.code(settings.status).send(Readable.from([]))
}

// RFC 9110 15.5.7.
function notAcceptable(reply: AnyReply): Error {
  reply.header('Vary', vary.append(String(reply.getHeader('Vary') ?? ''), 'Accept'))
  return Object.assign(new Error(NOT_ACCEPTABLE.trim()), { statusCode: 406 })
}

const SHUTDOWN_CHECKS = { graceMs: between(0, MAX_TIME), retry: between(0, MAX_TIME) }
const SHUTDOWN_DEFAULTS = { graceMs: 5_000, retry: 2_000 }

/**
 * Ends the streams of `sse` when Fastify closes, which would wait for them otherwise: those of the instance that it is
 * registered on, and of all within. Each client is told when to come back; what has not left within the grace is cut.
 *
 * Rejects with `SseError` `ERR_SSE_OPTION`.
 */
export const spillwayPlugin: FastifyPluginAsync<ShutdownOptions, RawServerBase> = async (
  fastify,
  options,
) => {
  checkOptions(options, SHUTDOWN_CHECKS)
  const streams = new OpenStreams(withDefaults(options, SHUTDOWN_DEFAULTS))
  fastify.decorate(STREAMS, streams)
  // Not `onClose`: that comes when the server has no connection any more.
  fastify.addHook('preClose', () => streams.shutdown())
}

// What `fastify-plugin` would set: the instance itself is meant, and not a scope within it.
Object.assign(spillwayPlugin, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'spillway',
  [Symbol.for('plugin-meta')]: { name: 'spillway', fastify: '5.x' },
})

// Of the registry: the ES module and the CommonJS build may both be loaded.
const STREAMS = Symbol.for('spillway.streams')

const UNTRACKED: Pick<OpenStreams, 'add'> = { add() {} }

function streamsOf(instance: object): Pick<OpenStreams, 'add'> {
  return (instance as { [STREAMS]?: OpenStreams })[STREAMS] ?? UNTRACKED
}

class OpenStreams {
  readonly #options: typeof SHUTDOWN_DEFAULTS
  readonly #streams = new Set<SseStream>()
  #isShutDown = false

  constructor(options: typeof SHUTDOWN_DEFAULTS) {
    this.#options = options
  }

  add(stream: SseStream): void {
    this.#streams.add(stream)
    stream.once('close', () => this.#streams.delete(stream))
    // Fastify may be set to take requests while it closes.
    if (this.#isShutDown) this.#end(stream)
  }

  async shutdown(): Promise<void> {
    this.#isShutDown = true
    await Promise.all([...this.#streams].map((stream) => this.#end(stream)))
  }

  async #end(stream: SseStream): Promise<void> {
    const { graceMs, retry } = this.#options
    const over = once(stream, 'close')
    stream.close({ retry: retry > 0 ? spread(retry) : undefined })
    const cut = setTimeout(() => stream.destroy(), graceMs)
    await over
    clearTimeout(cut)
  }
}
