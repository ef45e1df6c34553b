import { between, type Check, checkOptions, isBoolean, isPlain, withDefaults } from '../check-options.ts'
import { describe } from '../errors.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import { STREAM_CHECKS, STREAM_DEFAULTS, type StreamOptions, type StreamSettings } from '../stream/options.ts'

export type HeaderValue = string | number | string[]

/** Options of a stream and its response. Times are integers in ms; 0 disables a time. */
export interface SseStreamOptions<Events extends EventMap = AnyEvents> extends StreamOptions<Events> {
  /** Status of the response. Default 200; an `EventSource` fails permanently on any other status. */
  status?: number | undefined
  /** Response headers to add or override. An array sends a header several times. Default: none. */
  headers?: Readonly<Record<string, HeaderValue>> | undefined
  /**
   * True for a path that serves another format too, for example JSON. Only requests whose `Accept` header names
   * `text/event-stream` get the stream; the others go to the framework's next handler or get a 406. Default false.
   */
  negotiate?: boolean | undefined
  /**
   * False omits the comment and the reconnection time with which the body begins. For clients that lose the first event
   * after a comment. Default true, because several proxies hold the response headers until the body begins.
   */
  preamble?: boolean | undefined
}

/** Options with every default filled in. */
export interface Settings extends StreamSettings {
  readonly status: number
  readonly headers: Readonly<Record<string, HeaderValue>>
  readonly negotiate: boolean
  readonly preamble: boolean
}

const DEFAULTS: Settings = Object.freeze({
  ...STREAM_DEFAULTS,
  status: 200,
  headers: Object.freeze({}),
  negotiate: false,
  preamble: true,
})

export const SSE_CHECKS: Readonly<Record<keyof Settings, Check>> = {
  ...STREAM_CHECKS,
  status: checkStatus,
  headers: checkHeaders,
  negotiate: isBoolean,
  preamble: isBoolean,
}

/** Returns checked options with all defaults. Throws `SseError` `ERR_SSE_OPTION`. */
export function resolveOptions(
  options: object | undefined,
  checks: Readonly<Record<string, Check>> = SSE_CHECKS,
): Settings {
  if (options === undefined) return DEFAULTS
  checkOptions(options, checks)
  return withDefaults(options, DEFAULTS)
}

// RFC 9110 15.3.5, 15.3.6 and 15.4.5: responses with these statuses have no body.
function checkStatus(status: unknown) {
  return [204, 205, 304].includes(status as number) ? 'a status with a body' : between(200, 599)(status)
}

// RFC 9113 8.2.2 forbids the first two on HTTP/2, and Node sets them on HTTP/1.1. A stream has no length.
const FORBIDDEN_HEADER = /^(connection|transfer-encoding|content-length)$/i

function checkHeaders(headers: unknown): string | undefined {
  if (!isPlain(headers)) return 'a plain object of header names and values'
  for (const [name, value] of Object.entries(headers)) {
    if (FORBIDDEN_HEADER.test(name)) return `without ${name}, which Node.js sets`
    if (!HEADER_NAME.test(name) || ![value].flat().every(isHeaderValue))
      return `valid HTTP headers (${describe(name)} is ${describe(value)})`
  }
  return undefined
}

// RFC 9110 5.6.2, 5.5.
const HEADER_NAME = /^[!#$%&'*+.^_`|~\w-]+$/
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

function isHeaderValue(value: unknown): boolean {
  return typeof value === 'number' || (typeof value === 'string' && HEADER_VALUE.test(value))
}
