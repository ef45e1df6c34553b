import { retryAfterOf } from './backoff.ts'
import { clientError } from './client-error.ts'

type MaybeFunction<T> = T | (() => T | Promise<T>)

/** The body of a response. */
export type Body = NonNullable<Response['body']>

/** Options of the requests of a connection. */
export interface FetchOptions {
  /** Request headers, or a function that returns them for each attempt, for example with a fresh token. */
  headers?: MaybeFunction<RequestInit['headers']> | undefined
  /** Method of the requests. Default `'GET'`. */
  method?: string | undefined
  /** Body of the requests. It MUST be reusable, so it must not be a stream. */
  body?: RequestInit['body'] | undefined
  /** Whether cookies are sent. Default `'same-origin'`. */
  credentials?: RequestInit['credentials'] | undefined
  /** The function for requests. Default: the global `fetch`. */
  fetch?: typeof fetch | undefined
  /**
   * The server tolerates that a request is repeated. Otherwise a request that is not a GET is repeated only if it
   * resumes by an id. Default: true for GET.
   */
  idempotent?: boolean | undefined
}

/** The URL of a connection, or a function that returns it for each attempt. */
export type RequestUrl = MaybeFunction<string | URL>

/** Returns a value, or the result of a function. */
export function resolveValue<T>(value: MaybeFunction<T>): T | Promise<T> {
  return value instanceof Function ? value() : value
}

/** Returns a URL that may be relative to the page. Throws a `TypeError` for an invalid one. */
export function absolute(url: string | URL): URL {
  return new URL(new Request(url).url)
}

/**
 * Passes the text of a body to `onText`, one part after another, until its end or until `onText` resolves with true.
 */
export async function readText(
  body: Body,
  onText: (text: string) => Promise<unknown> | unknown,
): Promise<void> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  for (;;) {
    const { done, value } = await reader.read()
    if (done || (await onText(decoder.decode(value, { stream: true })))) return
  }
}

/** Returns the body of a response with a media type. Throws `ERR_SSE_STATUS` and `ERR_SSE_FORMAT`. */
export async function bodyOf({ ok, status, headers, body }: Response, type: string): Promise<Body> {
  const actual = headers.get('content-type') ?? ''
  if (ok && body && new RegExp(type, 'i').test(actual)) return body
  let text = ''
  const reading = readText(body as Body, (part) => {
    text += part
    return text.length > 2000
  })
  // The body may be missing, be cut or never end, but the status is known.
  await Promise.race([reading, new Promise((resolve) => setTimeout(resolve, 1000))]).catch(() => {})
  const code = ok ? 'ERR_SSE_FORMAT' : 'ERR_SSE_STATUS'
  throw clientError(code, `${status} ${actual}: ${/\S.*/.exec(text) ?? ''}`, {
    status,
    body: text.slice(0, 2000),
    retryAfter: retryAfterOf(headers.get('retry-after')),
    isFinal: !/^5|408|425|429/.test(`${status}`),
  })
}
