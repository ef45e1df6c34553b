import { retryAfterOf } from './backoff.ts'
import { clientError } from './client-error.ts'
import type { TransportName } from './engine.ts'

type MaybeFunction<T> = T | (() => T | Promise<T>)

/** The body of a response. */
export type Body = NonNullable<Response['body']>

/** Options of the requests of a connection. */
export interface FetchOptions {
  /** Request headers, or a function that returns them for each attempt, for example with a fresh token. */
  headers?: MaybeFunction<RequestInit['headers']> | undefined
  /** Method of the requests. Default `'GET'`. */
  method?: string | undefined
  /** Body of the requests. It MUST be reusable, so not a stream. */
  body?: RequestInit['body'] | undefined
  /** Whether cookies are sent. Default `'same-origin'`. */
  credentials?: RequestInit['credentials'] | undefined
  /** The function for requests. Default: the global `fetch`. */
  fetch?: typeof fetch | undefined
  /**
   * The server tolerates that a request is repeated. Otherwise a request that is not a GET is repeated only if it resumes
   * by an id. Default: true for GET.
   */
  idempotent?: boolean | undefined
}

/** The URL of a connection, or a function that returns it for each attempt. */
export type RequestUrl = MaybeFunction<string | URL>

/** Sends the requests of a connection. */
export class Requester {
  transport: TransportName = 'event-stream'
  /** Why the transport was changed, for the next request to report. */
  reason: string | undefined
  readonly #url: RequestUrl
  readonly #options: FetchOptions
  #isSent = false

  constructor(url: RequestUrl, options: FetchOptions) {
    this.#url = url
    this.#options = options
  }

  /** Whether a request may be sent that resumes after an id. */
  canSend(id: string): boolean {
    const { method = 'GET', idempotent = /^get$/i.test(method) } = this.#options
    return !this.#isSent || idempotent || id !== ''
  }

  /** Sends a request. Calls the functions of the user, and then `prepare`, which adds to the request. */
  async send(
    signal: AbortSignal,
    cache: 'default' | 'no-store',
    prepare: (url: URL, headers: Headers) => void,
  ): Promise<Response> {
    const { method, body, credentials, fetch: send = fetch } = this.#options
    const [value, init] = await Promise.all([resolve(this.#url), resolve(this.#options.headers)])
    signal.throwIfAborted()
    const url = absolute(value)
    const headers = new Headers(init)
    prepare(url, headers)
    if (this.reason) {
      url.searchParams.set('transport', this.transport)
      url.searchParams.set('reason', this.reason)
      this.reason = undefined
    }
    this.#isSent = true
    const response = await send(url, { method, body, credentials, cache, signal, headers } as RequestInit)
    signal.throwIfAborted()
    return response
  }
}

function resolve<T>(value: MaybeFunction<T>): T | Promise<T> {
  return value instanceof Function ? value() : value
}

/** Returns a URL that may be relative to the page. Throws a `TypeError` if it is not one. */
export function absolute(url: string | URL): URL {
  const { document, location } = globalThis as { document?: { baseURI: string }; location?: { href: string } }
  return new URL(url, document?.baseURI ?? location?.href)
}

/** Yields the text of a body. */
export async function* textOf(body: Body): AsyncGenerator<string, void> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    yield decoder.decode(value, { stream: true })
  }
}

/** Returns the body of a response of a type. Throws `ERR_SSE_STATUS` and `ERR_SSE_FORMAT`. */
export async function bodyOf({ ok, status, headers, body }: Response, type: RegExp): Promise<Body> {
  const actual = headers.get('content-type') ?? ''
  if (ok && body && type.test(actual)) return body
  const text = body ? await beginningOf(body) : ''
  throw clientError(
    ok ? 'ERR_SSE_FORMAT' : 'ERR_SSE_STATUS',
    `${status} ${actual}: ${text.trim().split('\n')[0]}`,
    {
      status,
      body: text,
      retryAfter: retryAfterOf(headers.get('retry-after')),
      isFinal: status < 500 && ![408, 425, 429].includes(status),
    },
  )
}

/** Returns at most 2 000 characters of a body, and only what arrives within a second. */
async function beginningOf(body: Body): Promise<string> {
  let text = ''
  const read = async () => {
    for await (const chunk of textOf(body)) {
      text += chunk
      if (text.length > 2000) return
    }
  }
  await Promise.race([read(), new Promise((resolve) => setTimeout(resolve, 1000))])
  return text.slice(0, 2000)
}
