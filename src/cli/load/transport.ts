import type { IncomingHttpHeaders } from 'node:http'

/** A request to send. Names of headers are in lower case. */
export interface RequestOptions {
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Buffer
  /** The number of the stream, which selects the local address. */
  readonly index?: number
  /** Whether the response is read slowly. */
  readonly isSlow?: boolean
}

/** The reason why a response is missing or incomplete. */
export interface Failure {
  readonly message: string
  /** The code of an error of the system, of TLS or of HTTP. */
  readonly code?: string | undefined
}

/** Receives the parts of a response in order. After `onEnd` or `onFailure`, no further method is called. */
export interface ResponseListener {
  onResponse(status: number, headers: IncomingHttpHeaders): void
  onBody(chunk: Buffer): void
  /** Called when the response is complete. */
  onEnd(): void
  onFailure(failure: Failure): void
}

/** A request and its response. */
export interface Exchange {
  /** Stops reading the body until `resume` is called. */
  pause(): void
  resume(): void
  /** Ends the exchange. The listener is not called afterwards. MAY be called at any time, and repeatedly. */
  destroy(): void
}

/** Sends requests to an endpoint over one version of HTTP. */
export interface Transport {
  /** How many requests share a connection. Over HTTP/2, the server may allow fewer than the option states. */
  readonly streamsPerConnection: number
  /** MUST NOT call the listener before it returns, and MUST NOT throw. */
  send(request: RequestOptions, listener: ResponseListener): Exchange
  /** Closes connections that are kept for further requests. */
  close(): void
}

/** The failure of a response whose connection was closed without an error. */
export const INCOMPLETE: Failure = { message: 'The response is not complete.', code: 'cut' }

/** The failure of a connection that was closed without an error before a response. */
export const CLOSED: Failure = { message: 'The connection was closed.', code: 'ECONNRESET' }
