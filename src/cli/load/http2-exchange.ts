import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
} from 'node:http2'
import { CANCEL, failureOf, NO_ERROR, REFUSED_STREAM } from './http2-failure.ts'
import type { Exchange, Failure, ResponseListener } from './transport.ts'

/** The session that an exchange belongs to. */
export interface ExchangeSession {
  /** Called when the exchange has ended, properly or not. */
  release(exchange: Http2Exchange): void
  /** Called when the exchange is destroyed. */
  cancel(exchange: Http2Exchange): void
  /** Called when the server has refused the exchange without processing it. It is sent again on another session. */
  refuse(exchange: Http2Exchange): void
}

/** How often a request that the server has not processed is sent again. Chromium has the same limit. */
const MAX_RETRIES = 2

/** A stream of a session, which waits until its session can begin it. */
export class Http2Exchange implements Exchange {
  /** The number of the stream of events. */
  readonly index: number
  readonly #headers: OutgoingHttpHeaders
  readonly #body: Buffer | undefined
  readonly #listener: ResponseListener
  #session: ExchangeSession | undefined
  #stream: ClientHttp2Stream | undefined
  #retries = 0
  #isDone = false

  constructor(
    headers: OutgoingHttpHeaders,
    body: Buffer | undefined,
    index: number,
    listener: ResponseListener,
  ) {
    this.#headers = headers
    this.#body = body
    this.index = index
    this.#listener = listener
  }

  /** Assigns the exchange to a session, which begins it later. */
  join(session: ExchangeSession): void {
    this.#session = session
  }

  /** Sends the request. */
  begin(session: ClientHttp2Session): void {
    const stream = session.request(this.#headers, { endStream: this.#body === undefined })
    let hasResponse = false
    let error: NodeJS.ErrnoException | undefined
    this.#stream = stream
    stream.on('response', (headers) => {
      hasResponse = true
      if (!this.#isDone) this.#respond(headers)
    })
    stream.on('data', (chunk: Buffer) => this.#isDone || this.#listener.onBody(chunk))
    // A stream that was reset emits `end` too.
    stream.on('end', () => hasResponse && stream.rstCode === NO_ERROR && this.#end())
    stream.on('error', (cause) => {
      error = cause
    })
    stream.on('close', () => {
      const code = stream.rstCode ?? NO_ERROR
      if (code === REFUSED_STREAM && !hasResponse && this.#retry()) return
      this.fail(failureOf({ code, error, hasResponse, isSessionDestroyed: session.destroyed }))
    })
    if (this.#body) stream.end(this.#body)
  }

  pause(): void {
    this.#stream?.pause()
  }

  resume(): void {
    this.#stream?.resume()
  }

  destroy(): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#session?.cancel(this)
  }

  /** Resets the stream, if it was begun. */
  reset(): void {
    this.#stream?.close(CANCEL)
  }

  /** Ends the exchange without a complete response. */
  fail(failure: Failure): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#session?.release(this)
    this.#listener.onFailure(failure)
  }

  #respond(headers: IncomingHttpHeaders & { ':status'?: number | undefined }): void {
    this.#listener.onResponse(Number(headers[':status']), headers)
  }

  #end(): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#session?.release(this)
    this.#listener.onEnd()
  }

  // RFC 9113 8.7: a request that the server has not processed may be sent again.
  #retry(): boolean {
    if (this.#isDone || this.#retries === MAX_RETRIES) return false
    this.#retries += 1
    this.#stream = undefined
    this.#session?.refuse(this)
    return true
  }
}
