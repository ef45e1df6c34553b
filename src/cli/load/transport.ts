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

/** Why there is no response, or not all of it. */
export interface Failure {
  readonly message: string
  /** The code of the system, of TLS or of HTTP. */
  readonly code?: string | undefined
}

/** Receives a response, in its order. After `onEnd` or `onFailure`, nothing is called any more. */
export interface ResponseListener {
  onResponse(status: number, headers: IncomingHttpHeaders): void
  onBody(chunk: Buffer): void
  /** The response is complete. */
  onEnd(): void
  onFailure(failure: Failure): void
}

/** A request and its response. */
export interface Exchange {
  /** Ends the reading of the body for a while. */
  pause(): void
  resume(): void
  /** Ends the exchange. The listener is not called any more. MAY be called at any time, and repeatedly. */
  destroy(): void
}

/** Sends requests to an endpoint over one version of HTTP. */
export interface Transport {
  /** How many requests share a connection. Over HTTP/2, the server may allow fewer than were wanted. */
  readonly streamsPerConnection: number
  /** MUST NOT call the listener before it returns, and MUST NOT throw. */
  send(request: RequestOptions, listener: ResponseListener): Exchange
  /** Closes connections that are kept for further requests. */
  close(): void
}

/** The code of a response that is not complete, although its connection was closed. */
export const CUT = 'cut'
