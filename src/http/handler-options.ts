import { between, type Check, isFunction, isTime, MAX_TIME } from '../check-options.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import type { Admission } from '../lifecycle/admission.ts'
import type { Authorize } from '../lifecycle/authorization.ts'
import type { SseStream } from '../stream/stream.ts'
import { resolveOptions, type Settings, SSE_CHECKS, type SseStreamOptions } from './options.ts'

/**
 * Options of a handler: those of its stream and response, `authorize` and `limits`, and when the response headers are
 * sent.
 */
export interface SseHandlerOptions<Events extends EventMap = AnyEvents, Request = unknown>
  extends SseStreamOptions<Events> {
  /**
   * How long the response headers wait for the handler, in ms. They are sent with the first event or when the handler
   * has finished, and at the latest after this time. Until then the handler can send a different response. Default 0:
   * they are sent at the end of the event loop turn in which the handler was called.
   */
  maxHeaderDelay?: number | undefined
  /**
   * Called before the response headers and the handler, for each connection. Returns true, `{ context, expiresAt }`, or
   * how the client is refused: false, `{ status }` or `{ retry }`. If it throws, rejects or takes too long, the client
   * reconnects later, and `spillway:authorize:error` is published. Default: every client gets a stream.
   */
  authorize?: Authorize<SseStream<Events, Request>> | undefined
  /**
   * How often `authorize` is called again while a stream is open, in ms, or up to a tenth earlier. A client that is
   * refused reconnects and gets the response. Default 0: only for `stream.reauthorize()`.
   */
  reauthorize?: number | undefined
  /** How long `authorize` may take, in ms. Default 10 000. */
  authorizeTimeout?: number | undefined
  /** Limits of the number of streams, which are checked after `authorize`. Default: none. */
  limits?: Admission | readonly Admission[] | undefined
}

/** Options with every default filled in. */
export type HandlerSettings = Settings & {
  readonly maxHeaderDelay?: number
  readonly authorize?: Authorize<never>
  readonly reauthorize?: number
  readonly authorizeTimeout?: number
  readonly limits?: Admission | readonly Admission[]
}

export const HANDLER_CHECKS: Readonly<Record<string, Check>> = {
  ...SSE_CHECKS,
  maxHeaderDelay: isTime,
  authorize: isFunction,
  reauthorize: isTime,
  authorizeTimeout: between(1, MAX_TIME),
  limits: checkLimits,
}

/** Returns checked options with all defaults. Throws `SseError` `ERR_SSE_OPTION`. */
export function resolveHandlerOptions(options: object | undefined, checks = HANDLER_CHECKS): HandlerSettings {
  return resolveOptions(options, checks)
}

/** Checks an option that is an admission, or a list of them. */
function checkLimits(limits: unknown): string | undefined {
  const isAdmission = (each: unknown) => typeof (Object(each) as Partial<Admission>).admit === 'function'
  return [limits].flat().every(isAdmission) ? undefined : 'a StreamLimits, or a list of them'
}
