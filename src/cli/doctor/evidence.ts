import type { Exchange } from './exchange.ts'

/**
 * The requests of an examination.
 *
 * - `main`: the stream as a browser opens it. It is watched for most of the time, and the others run beside it.
 * - `identity`: the same without `Accept-Encoding`.
 * - `second`: the same a second time, at least 2 s after the response headers of `main` while it is open, and without
 *   `Cache-Control` as most programs send it.
 * - `http2`: the same over HTTP/2, if TLS negotiates it.
 *   If the server only supports HTTP/2, it is `main`.
 * - `anyAccept`: with `Accept: * / *` (without the spaces), as curl sends it.
 * - `llmAccept`: with `Accept: application/json`, as the SDKs of language models send it.
 * - `head`: the method HEAD.
 * - `crossOrigin`: with `Origin`.
 * - `preflight`: the method OPTIONS, as a browser sends it before a request with `Last-Event-ID`.
 * - `resume`: with the first id of `main`, after `main` has received a later one.
 * - `resumeLast`: with the newest id.
 * - `unknownId`: with an id that no server has sent.
 * - `reconnect`: after `main` has ended in order, as a browser reconnects, with the newest id if there is one.
 * - `ndjson`, `longPoll`: with the `Accept` and the `?format=` of these formats.
 *
 * With a body to send, only `main`, `identity`, `http2`, `anyAccept`, `llmAccept`, `crossOrigin` and `preflight` are sent,
 * because each may cause work. If `main` does not respond with 200, it is the only one.
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

/** Everything that the checks judge. */
export interface Evidence {
  readonly url: URL
  /** The origin of `--origin`. Undefined: cross-origin requests are not examined. */
  readonly origin: string | undefined
  /** How long `main` was watched, in ms. */
  readonly watched: number
  /** Whether the examination ended before its timeout, because everything was judged or it was aborted. */
  readonly isEarly: boolean
  /** The longest time in ms for which the doctor itself was busy. What arrived within this time cannot be distinguished. */
  readonly stall: number
  /** Those that were sent. */
  readonly exchanges: Readonly<Partial<Record<ProbeName, Exchange>>> & { readonly main: Exchange }
}
