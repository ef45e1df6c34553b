import { describe, mustBe } from '../errors.ts'
import type { SseStream } from '../stream/stream.ts'
import type { Attributes } from './instruments.ts'

export interface MetricsOptions {
  /**
   * Returns the route of a stream for `http.route`, for example `/users/:id/events`. Called once for each stream. Never
   * return a path with an id, because each route is a time series. Default: the route of Express, without the path of
   * its router, of Fastify and of the router of Koa.
   */
  route?: ((stream: SseStream) => string | undefined) | undefined
}

/** The properties of frameworks' requests that name a route or a version of HTTP. */
interface FrameworkRequest {
  readonly httpVersion?: unknown
  readonly raw?: { readonly httpVersion?: unknown } | undefined
  readonly req?: { readonly httpVersion?: unknown } | undefined
  /** Express. */
  readonly route?: { readonly path?: unknown } | undefined
  /** Fastify. */
  readonly routeOptions?: { readonly url?: unknown } | undefined
  /** Koa, with `@koa/router`. */
  readonly ctx?: { readonly _matchedRoute?: unknown } | undefined
}

/** Returns the attributes of streams: the same object for the same values. */
export class StreamAttributes {
  readonly #routeOf: (stream: SseStream) => string | undefined
  readonly #known = new Map<string, Attributes>()
  #hasWarned = false

  constructor({ route = routeOf }: MetricsOptions) {
    this.#routeOf = route
  }

  of(stream: SseStream): Attributes {
    const { format } = stream
    const attributes: Record<string, string> = {
      'spillway.transport': format === 'json' ? 'long_poll' : 'stream',
      'spillway.format': format,
    }
    const route = this.#route(stream)
    const version = httpVersionOf(requestOf(stream))
    if (route !== undefined) attributes['http.route'] = route
    if (version !== undefined) attributes['network.protocol.version'] = version
    const key = JSON.stringify(attributes)
    const known = this.#known.get(key) ?? attributes
    this.#known.set(key, known)
    return known
  }

  // An error in a subscriber of a diagnostics channel would end the process.
  #route(stream: SseStream): string | undefined {
    try {
      const route: unknown = this.#routeOf(stream)
      if (route === undefined || typeof route === 'string') return route
      mustBe('a string or undefined', 'ERR_SSE_OPTION', 'The route of a stream', route)
    } catch (error) {
      this.#warn(error)
    }
    return undefined
  }

  // Printed once, because it would be repeated for each stream.
  #warn(error: unknown): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    const cause = error instanceof Error ? error.message : `It threw ${describe(error)}.`
    process.emitWarning(`The option route of the metrics failed. ${cause}`)
  }
}

function requestOf(stream: SseStream): FrameworkRequest {
  return Object((stream as { readonly request?: unknown }).request) as FrameworkRequest
}

/** Returns the route that the framework has matched. */
function routeOf(stream: SseStream): string | undefined {
  const { route, routeOptions, ctx } = requestOf(stream)
  // `baseUrl` of Express would contain the values of the parameters of a router, for example `/users/7`.
  const path = route?.path === undefined ? (routeOptions?.url ?? ctx?._matchedRoute) : String(route.path)
  return typeof path === 'string' ? path : undefined
}

/** Returns `1.0`, `1.1` or `2`, as the attribute of OpenTelemetry has it. */
function httpVersionOf({ httpVersion, raw, req }: FrameworkRequest): string | undefined {
  const version = httpVersion ?? raw?.httpVersion ?? req?.httpVersion
  return typeof version === 'string' ? version.replace(/^([2-9])\.0$/, '$1') : undefined
}
