import type { Exchange } from './exchange.ts'

/**
 * The requests of an examination.
 *
 * - `main`: the request of a browser. It stays open for most of the time, and the others are sent meanwhile.
 * - `identity`: the same without `Accept-Encoding`.
 * - `second`: the same a second time, while `main` is open, at least 2 s after its response headers. It has no
 *   `Cache-Control`, as in most programs.
 * - `http2`: the same over HTTP/2, if TLS negotiates it. A server that supports only HTTP/2 has no such request.
 * - `anyAccept`: with `Accept: * / *` (without the spaces), as curl sends it.
 * - `llmAccept`: with `Accept: application/json`, as the SDKs of language models send it.
 * - `head`: the method HEAD.
 * - `crossOrigin`: with `Origin`.
 * - `preflight`: the method OPTIONS, as a browser sends it before a request with `Last-Event-ID`.
 * - `resume`: with the first id of `main`, after `main` has received a later one.
 * - `resumeLast`: with the newest id.
 * - `unknownId`: with an id that no server has sent.
 * - `reconnect`: after the proper end of `main`, as a browser reconnects, with the newest id if there is one.
 * - `ndjson`, `longPoll`: with the `Accept` and the `?format=` of these formats.
 *
 * A request with a body may cause work, so only `main`, `identity`, `http2`, `anyAccept`, `llmAccept`, `crossOrigin`
 * and `preflight` are sent. If the response to `main` is not a 200, no other request is sent.
 */
export type ProbeName =
  | 'main'
  | 'identity'
  | 'second'
  | 'http2'
  | 'anyAccept'
  | 'llmAccept'
  | 'head'
  | 'crossOrigin'
  | 'preflight'
  | 'resume'
  | 'resumeLast'
  | 'unknownId'
  | 'reconnect'
  | 'ndjson'
  | 'longPoll'

/** The evidence that the checks judge. */
export interface Evidence {
  readonly url: URL
  /** The origin of `--origin`. Undefined: cross-origin requests are not examined. */
  readonly origin: string | undefined
  /** How long `main` was watched, in ms. */
  readonly watched: number
  /** The longest time in ms for which the doctor itself was busy. Arrivals within this time cannot be distinguished. */
  readonly stall: number
  /** The exchanges of the requests that were sent. */
  readonly exchanges: Readonly<Partial<Record<ProbeName, Exchange>>> & { readonly main: Exchange }
}
