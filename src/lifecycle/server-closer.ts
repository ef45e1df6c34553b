import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server, Socket } from 'node:net'
import { between, checkOptions, MAX_TIME } from '../check-options.ts'
import { describe, SseError } from '../errors.ts'
import { TICK } from '../scheduler/clock.ts'
import { Deadline } from '../scheduler/deadline.ts'

/** How to close a server. Times are in ms. */
export interface CloseServerOptions {
  /** Time in ms that open responses have to end. Connections that are still open afterwards are cut. Default 5 000. */
  grace?: number | undefined
}

const CHECKS = { grace: between(0, MAX_TIME) }
const DEFAULTS = { grace: 5_000 }

/** A session of HTTP/2. `close` sends GOAWAY, and closes the connection after the last stream. */
interface Session {
  close(): void
  once(event: 'close', listener: () => void): unknown
}

/**
 * Returns a function that closes a server of `node:http`, `node:https` or `node:http2`. MUST be called before the server
 * accepts its first connection, because Node.js does not list the sessions of HTTP/2.
 *
 * The returned function stops accepting connections, closes idle ones, and asks the clients of HTTP/2 to open no further
 * streams. It resolves when the last connection is closed, at the latest after `grace`. It does not end the streams: call
 * `hub.shutdown()` or `stream.close()` meanwhile. It rejects with `SseError` `ERR_SSE_OPTION`.
 *
 * Throws `SseError` `ERR_SSE_OPTION` if the argument is not a server.
 */
export function serverCloser(server: Server): (options?: CloseServerOptions) => Promise<void> {
  if (typeof server?.close !== 'function' || typeof server.on !== 'function')
    throw new SseError('ERR_SSE_OPTION', `Expected a server of node:http, not ${describe(server)}.`)
  const connections = new Connections(server)
  return async (options = {}) => {
    await connections.close({ ...DEFAULTS, ...checkOptions(options, CHECKS) }.grace)
  }
}

/** The open connections of a server. */
class Connections {
  readonly #server: Server & { closeAllConnections?(): void }
  readonly #sockets = new Set<Socket>()
  readonly #sessions = new Set<Session>()
  // The last response on each connection of HTTP/1, which sends responses in the order of their requests.
  readonly #responses = new WeakMap<Socket, ServerResponse>()
  #isClosing = false

  constructor(server: Server) {
    this.#server = server
    for (const event of ['connection', 'secureConnection'])
      server.on(event, (socket: Socket) => add(socket, this.#sockets))
    server.on('session', (session: Session) => {
      add(session, this.#sessions)
      // Its connection was accepted before the server was closed.
      if (this.#isClosing) session.close()
    })
    server.on('request', ({ httpVersionMajor, socket }: IncomingMessage, response: ServerResponse) => {
      if (httpVersionMajor < 2) this.#responses.set(socket, response)
    })
  }

  async close(grace: number): Promise<void> {
    this.#isClosing = true
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const session of this.#sessions) session.close()
    const idle = setInterval(() => this.#closeIdle(), TICK)
    const deadline = new Deadline(grace, () => this.#cut())
    await closed
    clearInterval(idle)
    deadline.cancel()
  }

  // HTTP/1 keeps a connection open after a response. Not `closeIdleConnections`, which cuts a response that has ended while
  // its last bytes are still being sent.
  #closeIdle(): void {
    for (const socket of this.#sockets)
      if (this.#responses.get(socket)?.writableFinished) socket.destroySoon()
  }

  #cut(): void {
    for (const socket of this.#sockets) socket.destroy()
    // Connections that were accepted before this object was created.
    this.#server.closeAllConnections?.()
  }
}

function add<T extends Socket | Session>(connection: T, open: Set<T>): void {
  open.add(connection)
  ;(connection as Session).once('close', () => open.delete(connection))
}
