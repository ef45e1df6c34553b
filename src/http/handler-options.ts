import { between, type Check, MAX_TIME } from '../check-options.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import { resolveOptions, type Settings, SSE_CHECKS, type SseStreamOptions } from './options.ts'

/** Options of a handler: those of its stream and response, and when the response headers are sent. */
export interface SseHandlerOptions<Events extends EventMap = AnyEvents> extends SseStreamOptions<Events> {
  /**
   * How long the response headers wait for the handler, in ms. They are sent with the first event or when the handler has
   * finished, and at the latest after this time. Until then the handler can send a different response. Default 0: they are
   * sent at the end of the event loop turn in which the handler was called.
   */
  maxHeaderDelay?: number | undefined
}

/** Options with every default filled in. */
export type HandlerSettings = Settings & {
  readonly maxHeaderDelay?: number
}

export const HANDLER_CHECKS: Readonly<Record<string, Check>> = {
  ...SSE_CHECKS,
  maxHeaderDelay: between(0, MAX_TIME),
}

/** Returns checked options with all defaults. Throws `SseError` `ERR_SSE_OPTION`. */
export function resolveHandlerOptions(options: object | undefined, checks = HANDLER_CHECKS): HandlerSettings {
  return resolveOptions(options, checks)
}
