import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server, Socket } from 'node:net'
import { TICK } from '../scheduler/clock.ts'
import { Deadline } from '../scheduler/deadline.ts'
import { enterRequestOf } from './draining.ts'
import { Spread } from './spread.ts'

// How long a new connection without a request is kept while the server closes, in ms. Browsers open some in advance.
const UNUSED_TIME = 1_000

/** A session of HTTP/2. `close` sends GOAWAY, and closes the connection after the last stream. */
interface Session {
  close(): void
  once(event: 'close', listener: () => void): unknown
}

/** The last request on a connection of HTTP/1. */
interface Exchange {
  readonly response: ServerResponse
  /** How many bytes the connection had received when the request arrived. Undefined if a body may follow. */
  readonly bytesRead: number | undefined
}

/** The open connections of a server. MUST be created before the server accepts its first connection. */
export class ServerConnections {
  readonly #server: Server & { closeAllConnections?(): void; closeIdleConnections?(): void }
  readonly #sockets = new Set<Socket>()
  readonly #sessions = new Set<Session>()
  // HTTP/1 sends responses in the order of their requests.
  readonly #exchanges = new WeakMap<Socket, Exchange>()
  #closingSince: number | undefined
  #isSweeping = false

  constructor(server: Server) {
    this.#server = server
    for (const event of ['connection', 'secureConnection'])
      server.on(event, (socket: Socket) => add(socket, this.#sockets))
    server.on('session', (session: Session) => {
      add(session, this.#sessions)
      // The connection was accepted before the server was closed.
      if (this.#isClosing) session.close()
    })
    // Prepended, because a listener of the application may send the response headers at once.
    server.prependListener('request', (request: IncomingMessage, response: ServerResponse) =>
      this.#onRequest(request, response),
    )
    server.on('listening', () => {
      if (this.#isClosing) server.close()
    })
  }

  /**
   * Accepts no further connections, and resolves when all are closed. Connections that are still open after `grace` ms
   * are cut. A further call may cut them earlier.
   */
  async close(grace: number): Promise<void> {
    this.#closingSince ??= performance.now()
    const closed = new Promise<void>((resolve) => this.#stopListening(resolve))
    for (const session of this.#sessions) session.close()
    for (const socket of this.#sockets) this.#announceClose(this.#exchanges.get(socket)?.response)
    this.#sweep()
    const idle = setInterval(() => this.#sweep(), TICK)
    const deadline = new Deadline(grace, () => this.#cut())
    await closed
    clearInterval(idle)
    deadline.cancel()
  }

  get #isClosing(): boolean {
    return this.#closingSince !== undefined
  }

  // `close` of HTTP/1 calls `closeIdleConnections`, which cuts a response that has ended while its last bytes are still
  // being sent.
  #stopListening(onClosed: () => void): void {
    const server = this.#server
    const own = Object.getOwnPropertyDescriptor(server, 'closeIdleConnections')
    Object.defineProperty(server, 'closeIdleConnections', { value: () => {}, configurable: true })
    server.close(onClosed)
    delete server.closeIdleConnections
    if (own) Object.defineProperty(server, 'closeIdleConnections', own)
  }

  #onRequest({ httpVersionMajor, headers, socket }: IncomingMessage, response: ServerResponse): void {
    if (this.#isClosing) enterRequestOf(this.#server)
    if (httpVersionMajor >= 2) return
    const earlier = this.#exchanges.get(socket)?.response
    const hasBody = 'content-length' in headers || 'transfer-encoding' in headers
    this.#exchanges.set(socket, { response, bytesRead: hasBody ? undefined : socket.bytesRead })
    if (!this.#isClosing) return
    // A client that pipelines requests needs all responses.
    if (earlier && !earlier.headersSent) earlier.removeHeader('Connection')
    this.#announceClose(response)
  }

  // Announces the close, because a client may otherwise send its next request on the connection.
  #announceClose(response: ServerResponse | undefined): void {
    if (response && !response.headersSent) response.setHeader('Connection', 'close')
  }

  #sweep(): void {
    if (this.#isSweeping) return
    this.#isSweeping = true
    const unusedSince = performance.now() - UNUSED_TIME
    const areOld = this.#closingSince !== undefined && this.#closingSince < unusedSince
    const sweep = new Spread(this.#sockets, 0, (socket) => this.#closeIfIdle(socket, areOld))
    void sweep.done.then(() => {
      this.#isSweeping = false
      // Closes connections that were accepted before this object was created.
      if (this.#sockets.size === 0) this.#server.closeIdleConnections?.()
    })
  }

  // Closes a connection that HTTP/1 keeps open after a response. More bytes are the beginning of the next request, or
  // of a WebSocket.
  #closeIfIdle(socket: Socket, isOld: boolean): void {
    const { response, bytesRead = socket.bytesRead } = this.#exchanges.get(socket) ?? {}
    if (response?.writableFinished && socket.bytesRead === bytesRead) socket.destroySoon()
    else if (isOld && socket.bytesRead === 0) socket.destroy()
  }

  async #cut(): Promise<void> {
    await new Spread(this.#sockets, 0, (socket) => socket.destroy()).done
    // Cuts connections that were accepted before this object was created.
    this.#server.closeAllConnections?.()
  }
}

function add<T extends Socket | Session>(connection: T, open: Set<T>): void {
  open.add(connection)
  connection.once('close', () => open.delete(connection))
}
