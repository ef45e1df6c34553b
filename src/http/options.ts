import {
  between,
  type Check,
  checkOptions,
  isBoolean,
  isCount,
  isPlain,
  optionsOf,
  type SettingsOf,
} from '../check-options.ts'
import { describe, mustBe } from '../errors.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import type { FormatName } from '../formats/format.ts'
import { checkExpiresAt } from '../stream/expiry.ts'
import {
  type LongPollSettings,
  type Representation,
  STREAM_CHECKS,
  STREAM_DEFAULTS,
  type StreamOptions,
} from '../stream/options.ts'
import type { SseContext } from '../stream/register.ts'

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
   * The representations that the route serves: `event-stream`, `ndjson` (a JSON object per line) and `json` (a long
   * poll). With several, a request chooses by its header `Accept` or by `?format=`, and otherwise gets the first one.
   * Default `['event-stream']`.
   */
  formats?: readonly FormatName[] | undefined
  /** How the format `json` responds. Default: see `LongPollOptions`. */
  longPoll?: LongPollOptions | undefined
  /**
   * False omits the comment and the reconnection time with which the body begins. For clients that lose the first event
   * after a comment. Default true, because several proxies hold the response headers until the body begins.
   */
  preamble?: boolean | undefined
  /**
   * Compresses the stream with gzip, zstd or brotli, as the client accepts, and flushes each write. Memory per stream:
   * up to 4.4 kB with gzip, which is preferred, about 90 kB with zstd, 390 kB with brotli. A `Content-Encoding` that
   * the application has set disables it. Default false.
   */
  compress?: boolean | undefined
  /** Becomes `stream.context`. Default: an empty object. */
  context?: SseContext | undefined
  /** Becomes `stream.expiresAt`. Default: never. */
  expiresAt?: Date | number | undefined
}

/** How a long poll is answered. Times are in ms. */
export interface LongPollOptions {
  /** How long a request is held that has no event to respond with. From 1 000 to 50 000. Default 25 000. */
  hold?: number | undefined
  /** How long further events are collected after the first live one. Up to 5 000, accurate to 0.1 s. Default 100. */
  collect?: number | undefined
  /** The most missed events in one response. A response also ends at 256 KiB. Default 1 000. */
  pageSize?: number | undefined
}

/** Options with every default filled in. */
export type Settings = Omit<
  SettingsOf<SseStreamOptions, 'rateLimit' | 'replay' | 'onGap' | 'context' | 'expiresAt'>,
  'longPoll'
> &
  Representation & {
    readonly longPoll: LongPollSettings
    /** Whether these are the settings of the format that a request has chosen. */
    readonly isChosen?: boolean
    /** Whether the format was chosen by the header `Accept`. */
    readonly varies?: boolean
  }

export const LONG_POLL_DEFAULTS: LongPollSettings = { hold: 25_000, collect: 100, pageSize: 1_000 }

const DEFAULTS: Settings = {
  ...STREAM_DEFAULTS,
  status: 200,
  headers: {},
  negotiate: false,
  formats: ['event-stream'],
  longPoll: LONG_POLL_DEFAULTS,
  preamble: true,
  compress: false,
}

// The client ends a poll that has no response after 60 s, which is longer than both times together.
const LONG_POLL_CHECKS = { hold: between(1_000, 50_000), collect: between(0, 5_000), pageSize: isCount }

export const SSE_CHECKS: Readonly<Record<keyof SseStreamOptions, Check>> = {
  ...STREAM_CHECKS,
  status: checkStatus,
  headers: checkHeaders,
  negotiate: isBoolean,
  formats: checkFormats,
  longPoll: optionsOf(LONG_POLL_CHECKS),
  preamble: isBoolean,
  compress: isBoolean,
  context: (value) => (isPlain(value) ? undefined : 'an object'),
  expiresAt: checkExpiresAt,
}

/** Returns checked options with all defaults. Throws `SseError` `ERR_SSE_OPTION`. */
export function resolveOptions(
  options: object | undefined,
  checks: Readonly<Record<string, Check>> = SSE_CHECKS,
): Settings {
  return options === undefined ? DEFAULTS : settingsOf(checkOptions<SseStreamOptions>(options, checks))
}

/** The options of a stream that differ between clients. */
export type OwnOptions = Pick<SseStreamOptions, 'context' | 'expiresAt'>

/**
 * Like `resolveOptions`, for options that are given for each stream. Streams with equal options share their settings.
 */
export function resolveStreamOptions(options: object | undefined): { settings: Settings; own: OwnOptions } {
  if (options === undefined) return { settings: DEFAULTS, own: {} }
  const { context, expiresAt, ...given } = checkOptions<SseStreamOptions>(options, SSE_CHECKS)
  return { settings: settingsOf(given), own: { context, expiresAt } }
}

// The settings by the JSON of options that are numbers, texts and booleans. A copy for each stream would need 1 kB.
const shared = new Map<string, Settings>()
const MAX_SHARED = 100

function settingsOf(given: Partial<SettingsOf<SseStreamOptions>>): Settings {
  if (Object.values(given).some((value) => Object(value) === value)) return merge(given)
  const key = JSON.stringify(given)
  const present = shared.get(key) ?? merge(given)
  if (shared.size < MAX_SHARED) shared.set(key, present)
  return present
}

function merge(given: Partial<SettingsOf<SseStreamOptions>>): Settings {
  const longPoll = { ...LONG_POLL_DEFAULTS, ...given.longPoll } as LongPollSettings
  const settings = { ...DEFAULTS, ...given, longPoll }
  if (settings.formats.includes('event-stream')) checkContentType(settings.headers)
  return settings
}

// [spec] An `EventSource` fails permanently with any other type. Browsers refuse any other charset.
const CONTENT_TYPE = /^text\/event-stream *($|;(?!.*charset=(?!"?utf-8)))/i

function checkContentType(headers: Settings['headers']): void {
  for (const [name, value] of Object.entries(headers))
    if (/^content-type$/i.test(name) && !CONTENT_TYPE.test(`${value}`))
      mustBe('text/event-stream in UTF-8', 'ERR_SSE_OPTION', `The ${name} in option headers`, value)
}

const FORMATS: readonly unknown[] = ['event-stream', 'ndjson', 'json'] satisfies FormatName[]

function checkFormats(formats: unknown): string | undefined {
  const isList = Array.isArray(formats) && formats.length > 0 && new Set(formats).size === formats.length
  return isList && formats.every((format) => FORMATS.includes(format))
    ? undefined
    : "a list of 'event-stream', 'ndjson' and 'json'"
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
  return Number.isFinite(value) || (typeof value === 'string' && HEADER_VALUE.test(value))
}
