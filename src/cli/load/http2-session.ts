import { type ClientHttp2Session, connect } from 'node:http2'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { connectTo, type Endpoint } from './endpoint.ts'
import type { ExchangeSession, Http2Exchange } from './http2-exchange.ts'
import { CLOSED, type Failure } from './transport.ts'

/** The failure of a server that does not choose HTTP/2 in the TLS handshake. */
const WITHOUT_PROTOCOL: Failure = { message: 'The server does not offer HTTP/2 (ALPN).', code: 'ALPN' }

/** Chromium offers 6 MB for each stream, and 15 MB for all. */
const STREAM_WINDOW = 6 * 1024 * 1024
const SESSION_WINDOW = 15 * 1024 * 1024
/** RFC 9113 6.9.2: the initial window. A server detects a slow reader after these bytes. */
const SLOW_STREAM_WINDOW = 65_535

export interface SessionOptions {
  readonly endpoint: Endpoint
  /** The maximum of concurrent streams. The server may allow fewer. */
  readonly streams: number
  readonly isSlow: boolean
  readonly owner: SessionOwner
}

/** Assigns exchanges to sessions. */
export interface SessionOwner {
  onOpen(): void
  /** Called when the session can begin more or fewer exchanges. */
  onRoom(session: Http2Session): void
  /** Called when the session cannot begin an exchange that it has accepted. */
  onReturn(exchange: Http2Exchange): void
  /** Called when the session is closed. `hasOpened` is false if the connection failed. */
  onClose(session: Http2Session, hasOpened: boolean): void
}

/**
 * A connection of HTTP/2. The first exchange begins when it is connected, as in a browser. Others wait for the limit
 * that the server sends, because the server refuses exchanges above it.
 */
export class Http2Session implements ExchangeSession {
  readonly #options: SessionOptions
  readonly #socket: Socket
  readonly #exchanges = new Set<Http2Exchange>()
  /** The exchanges that have not begun. */
  readonly #waiting = new Set<Http2Exchange>()
  #session: ClientHttp2Session | undefined
  #hasSettings = false
  /** The number of streams with which the server has refused a further one. */
  #refusedAt = Number.POSITIVE_INFINITY
  #isClosing = false
  #isClosed = false

  /** `index` is that of the first stream. */
  constructor(options: SessionOptions, index: number) {
    this.#options = options
    const socket = connectTo(options.endpoint, ['h2'], index)
    this.#socket = socket
    let failure = CLOSED
    socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', () => this.#open())
    socket.on('error', (error: NodeJS.ErrnoException) => {
      failure = isWithoutProtocol(error) ? WITHOUT_PROTOCOL : error
    })
    socket.once('close', () => this.#session ?? this.#close(failure))
  }

  /** The maximum of concurrent streams. */
  get limit(): number {
    const { streams } = this.#options
    const allowed = this.#hasSettings ? this.#session?.remoteSettings.maxConcurrentStreams : undefined
    return Math.min(streams, allowed ?? streams, this.#refusedAt)
  }

  get hasRoom(): boolean {
    return this.#isUsable && this.#exchanges.size < this.limit
  }

  /** Accepts an exchange. The session MUST have room for it. */
  add(exchange: Http2Exchange): void {
    exchange.join(this)
    this.#exchanges.add(exchange)
    this.#waiting.add(exchange)
    this.#begin()
  }

  release(exchange: Http2Exchange): void {
    this.#exchanges.delete(exchange)
    this.#waiting.delete(exchange)
    this.#begin()
    this.#closeAfterGoaway()
    this.#options.owner.onRoom(this)
  }

  cancel(exchange: Http2Exchange): void {
    this.release(exchange)
    // A client that disconnects closes its connection, as over HTTP/1.1.
    if (this.#exchanges.size === 0) this.destroy()
    else exchange.reset()
  }

  refuse(exchange: Http2Exchange): void {
    this.#refusedAt = this.#exchanges.size - 1
    this.release(exchange)
    if (this.#exchanges.size === 0) this.destroy()
    this.#options.owner.onReturn(exchange)
  }

  destroy(): void {
    this.#isClosing = true
    this.#session?.destroy()
    this.#socket.destroy()
  }

  get #isUsable(): boolean {
    const session = this.#session
    return !this.#isClosing && !this.#isClosed && !session?.closed && !session?.destroyed
  }

  #open(): void {
    const socket = this.#socket
    if (socket instanceof TLSSocket && socket.alpnProtocol !== 'h2') {
      socket.destroy(new Error(WITHOUT_PROTOCOL.message))
      return
    }
    const { endpoint, isSlow, owner } = this.#options
    const initialWindowSize = isSlow ? SLOW_STREAM_WINDOW : STREAM_WINDOW
    const settings = { enablePush: false, initialWindowSize }
    const session = connect(endpoint.url, { createConnection: () => socket, settings })
    this.#session = session
    session.once('connect', () => session.setLocalWindowSize(SESSION_WINDOW))
    session.on('remoteSettings', () => {
      this.#hasSettings = true
      this.#begin()
      owner.onRoom(this)
    })
    // After GOAWAY, no stream begins. Open streams end later, or with the session.
    session.on('goaway', () => {
      process.nextTick(() => {
        this.#begin()
        this.#closeAfterGoaway()
      })
    })
    // The exchanges of the session report the error too.
    session.on('error', () => {})
    session.once('close', () => this.#close(undefined))
    owner.onOpen()
    this.#begin()
  }

  /** Begins as many exchanges as are allowed, and returns exchanges without room to the owner. */
  #begin(): void {
    const session = this.#session
    if (!session) return
    for (const exchange of this.#waiting) {
      const begun = this.#exchanges.size - this.#waiting.size
      const isUsable = this.#isUsable
      if (isUsable && !this.#hasSettings && begun > 0) return
      this.#waiting.delete(exchange)
      if (isUsable && begun < this.limit) exchange.begin(session)
      else this.#return(exchange)
    }
  }

  /** Closes a connection without streams. Node.js would wait for the server, which need not close it. */
  #closeAfterGoaway(): void {
    if (this.#session?.closed && this.#exchanges.size === 0) this.destroy()
  }

  #return(exchange: Http2Exchange): void {
    this.#exchanges.delete(exchange)
    this.#options.owner.onReturn(exchange)
  }

  #close(failure: Failure | undefined): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#options.owner.onClose(this, this.#session !== undefined)
    // The server has not received the waiting exchanges.
    if (failure === undefined) this.#begin()
    else for (const exchange of this.#waiting) exchange.fail(failure)
  }
}

function isWithoutProtocol({ message }: Error): boolean {
  return message === WITHOUT_PROTOCOL.message || /no application protocol/i.test(message)
}
