import { validateHeaderName, validateHeaderValue } from 'node:http'
import {
  type Check,
  checkOptions,
  isBoolean,
  isFunction,
  isPlain,
  isString,
  MAX_TIME,
} from '../../check-options.ts'
import { UsageError } from '../usage-error.ts'
import type { Target } from './requests.ts'

export interface ExamineOptions {
  /** Request headers, for example `{ authorization: 'Bearer …' }`. */
  headers?: Readonly<Record<string, string>> | undefined
  /** The value of a header `Cookie`. */
  cookie?: string | undefined
  /** A body to send with the method POST. Default: none, with the method GET. */
  data?: string | undefined
  /** The origin of a page elsewhere that opens the stream. Default: cross-origin requests are not examined. */
  origin?: string | undefined
  /** Longest time of the examination in ms. Default 18 000, which is longer than most heartbeat intervals. */
  timeout?: number | undefined
  /** True accepts any certificate, for example a self-signed one. Default false. */
  insecure?: boolean | undefined
  /** Called repeatedly during the examination. */
  onProgress?: ((progress: Progress) => void) | undefined
  /** Ends the examination. The report then contains the findings so far. */
  signal?: AbortSignal | undefined
}

export interface Progress {
  /** In ms since the start. */
  readonly elapsed: number
  readonly timeout: number
  /** The present step, for example `waiting for a heartbeat`. */
  readonly step: string
}

const DEFAULT_TIMEOUT = 18_000

const CHECKS: Readonly<Record<keyof ExamineOptions, Check>> = {
  headers: (value) => (isPlain(value) ? undefined : 'an object'),
  cookie: isString,
  data: isString,
  origin: isString,
  // `timeoutOf` checks it, also for the command.
  timeout: () => undefined,
  insecure: isBoolean,
  onProgress: isFunction,
  signal: (value) => (value instanceof AbortSignal ? undefined : 'an AbortSignal'),
}

/** Throws `SseError` `ERR_SSE_OPTION` for an unknown option or a value of a wrong type. */
export function checkExamineOptions(options: ExamineOptions): void {
  checkOptions(options, CHECKS)
}

/** Returns how long an examination may take, in ms. Throws `UsageError`. */
export function timeoutOf({ timeout = DEFAULT_TIMEOUT }: ExamineOptions): number {
  if (Number.isInteger(timeout) && timeout > 0 && timeout <= MAX_TIME) return timeout
  throw new UsageError(`The timeout must be a whole number of milliseconds from 1 to ${MAX_TIME}.`)
}

/** Returns the properties that all requests share. Throws `UsageError` for a wrong URL, header or origin. */
export function targetOf(url: string | URL, options: ExamineOptions): Target {
  const { data, origin, insecure = false } = options
  const checked = checkedUrl(url)
  const { username, password } = checked
  // A report contains the URL, which MUST NOT contain the credentials.
  checked.username = checked.password = ''
  return {
    url: checked,
    headers: { ...basicAuthorization(username, password), ...checkedHeaders(options) },
    data,
    origin: origin === undefined ? undefined : checkedOrigin(origin),
    isInsecure: insecure,
  }
}

function checkedUrl(url: string | URL): URL {
  const parsed = URL.canParse(`${url}`) ? new URL(url) : undefined
  if (!parsed)
    throw new UsageError(`${JSON.stringify(`${url}`)} is not a URL, such as https://example.com/events.`)
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')
    throw new UsageError(`The URL must begin with http:// or https://, not ${parsed.protocol}`)
  return parsed
}

function basicAuthorization(username: string, password: string): Record<string, string> {
  if (username === '' && password === '') return {}
  const credentials = `${decoded(username)}:${decoded(password)}`
  return { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }
}

function decoded(credential: string): string {
  try {
    return decodeURIComponent(credential)
  } catch {
    throw new UsageError('The credentials of the URL must be percent-encoded, for example %25 for %.')
  }
}

function checkedHeaders({ headers = {}, cookie }: ExamineOptions): Record<string, string> {
  const given = Object.entries(cookie === undefined ? headers : { ...headers, cookie })
  for (const [name, value] of given) {
    try {
      validateHeaderName(name)
      validateHeaderValue(name, value)
    } catch {
      throw new UsageError(`The header ${JSON.stringify(name)} has an invalid name or value.`)
    }
  }
  return Object.fromEntries(given.map(([name, value]) => [name.toLowerCase(), value]))
}

function checkedOrigin(origin: string): string {
  if (URL.canParse(origin) && new URL(origin).origin === origin) return origin
  throw new UsageError(`${JSON.stringify(origin)} is not an origin, such as https://example.com.`)
}
