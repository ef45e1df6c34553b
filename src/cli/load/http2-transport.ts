import type { Endpoint } from './endpoint.ts'
import { Http2Exchange } from './http2-exchange.ts'
import { Http2Session, type SessionOwner } from './http2-session.ts'
import type { Exchange, RequestOptions, ResponseListener, Transport } from './transport.ts'

/** Counts of sessions. */
export interface SessionCounts {
  /** Connections that were opened. */
  sessions: number
  openSessions: number
}

// RFC 9113 8.2.2: headers of a connection of HTTP/1.1. `:authority` replaces `host`.
const NOT_SENT = [
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'te',
  'host',
]

/** Returns the name of a header that cannot be sent over HTTP/2. */
export function findHttp1Header(headers: Readonly<Record<string, string>>): string | undefined {
  return NOT_SENT.find((name) => name !== 'host' && Object.hasOwn(headers, name))
}

/**
 * Sends requests over HTTP/2, several of them on one session. Slow responses have separate sessions with small windows.
 */
export class Http2Transport implements Transport {
  readonly #endpoint: Endpoint
  readonly #fast: SessionPool
  readonly #slow: SessionPool

  /** `streams` is the maximum of concurrent streams of a session. */
  constructor(endpoint: Endpoint, streams: number, counts: SessionCounts) {
    this.#endpoint = endpoint
    this.#fast = new SessionPool(endpoint, streams, false, counts)
    this.#slow = new SessionPool(endpoint, streams, true, counts)
  }

  get streamsPerConnection(): number {
    return Math.min(this.#fast.limit, this.#slow.limit)
  }

  send({ method, headers, body, index, isSlow }: RequestOptions, listener: ResponseListener): Exchange {
    const { pathname, search, host } = this.#endpoint.url
    const sent = Object.entries(headers).filter(([name]) => !NOT_SENT.includes(name))
    const all = {
      ':method': method,
      ':path': pathname + search,
      ':authority': headers.host ?? host,
      ...Object.fromEntries(sent),
      ...(body && { 'content-length': body.length }),
    }
    const exchange = new Http2Exchange(all, body, index ?? 0, listener)
    const pool = isSlow ? this.#slow : this.#fast
    pool.place(exchange)
    return exchange
  }

  close(): void {
    this.#fast.close()
    this.#slow.close()
  }
}

/** Keeps sessions, and opens a further one when the others are full. */
class SessionPool implements SessionOwner {
  readonly #endpoint: Endpoint
  readonly #streams: number
  readonly #isSlow: boolean
  readonly #counts: SessionCounts
  readonly #sessions = new Set<Http2Session>()
  /** Sessions that may have room. Searching all sessions would cost too much if each stream has its own. */
  readonly #free = new Set<Http2Session>()

  constructor(endpoint: Endpoint, streams: number, isSlow: boolean, counts: SessionCounts) {
    this.#endpoint = endpoint
    this.#streams = streams
    this.#isSlow = isSlow
    this.#counts = counts
  }

  /** The lowest limit of streams that the server has sent on a session. */
  get limit(): number {
    return Math.min(this.#streams, ...[...this.#sessions].map(({ limit }) => limit))
  }

  place(exchange: Http2Exchange): void {
    for (const session of this.#free) {
      if (session.hasRoom) {
        session.add(exchange)
        return
      }
      this.#free.delete(session)
    }
    const session = this.#open(exchange.index)
    this.#free.add(session)
    session.add(exchange)
  }

  close(): void {
    for (const session of this.#sessions) session.destroy()
  }

  onOpen(): void {
    this.#counts.sessions += 1
    this.#counts.openSessions += 1
  }

  onRoom(session: Http2Session): void {
    if (session.hasRoom) this.#free.add(session)
  }

  onReturn(exchange: Http2Exchange): void {
    this.place(exchange)
  }

  onClose(session: Http2Session, hasOpened: boolean): void {
    this.#sessions.delete(session)
    this.#free.delete(session)
    if (hasOpened) this.#counts.openSessions -= 1
  }

  #open(index: number): Http2Session {
    const options = {
      endpoint: this.#endpoint,
      streams: this.#streams,
      isSlow: this.#isSlow,
      owner: this,
    }
    const session = new Http2Session(options, index)
    this.#sessions.add(session)
    return session
  }
}
