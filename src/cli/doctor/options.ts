import { validateHeaderName, validateHeaderValue } from 'node:http'
import { MAX_TIME } from '../../check-options.ts'
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
  /** Called as the examination goes on. */
  onProgress?: ((progress: Progress) => void) | undefined
  /** Ends the examination. The report then has what was found so far. */
  signal?: AbortSignal | undefined
}

export interface Progress {
  /** In ms since the start. */
  readonly elapsed: number
  readonly timeout: number
  /** What is going on, for example `waiting for a heartbeat`. */
  readonly step: string
}

const DEFAULT_TIMEOUT = 18_000

/** Returns how long an examination may take, in ms. Throws `UsageError`. */
export function timeoutOf({ timeout = DEFAULT_TIMEOUT }: ExamineOptions): number {
  if (Number.isInteger(timeout) && timeout > 0 && timeout <= MAX_TIME) return timeout
  throw new UsageError(`The timeout must be a whole number of milliseconds from 1 to ${MAX_TIME}.`)
}

/** Returns what all requests have in common. Throws `UsageError` for a wrong URL, header or origin. */
export function targetOf(url: string | URL, options: ExamineOptions): Target {
  const { data, origin, insecure = false } = options
  const checked = checkedUrl(url)
  const { username, password } = checked
  // A report names the URL, so that it MUST NOT have them.
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
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }
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
