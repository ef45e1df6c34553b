import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import http2, {
  type Http2SecureServer,
  type Http2Server,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { listenForTest, selfSigned } from '../../support/serve.ts'

/** A server of HTTP/2 whose connections a test can end. */
export interface Http2TestServer {
  readonly url: string
  readonly server: Http2Server | Http2SecureServer
  /** Cuts the connection of a response, as a network does. */
  cut(response: ServerResponse): void
}

/** Serves HTTP/2 on a free port of the loopback address, with TLS unless `isPlain`. */
export async function listenHttp2(
  listener: RequestListener,
  { isPlain = false, ...options }: SecureServerOptions & { readonly isPlain?: boolean } = {},
): Promise<Http2TestServer> {
  // The types of HTTP/2 are other ones, with the same methods.
  const any = listener as unknown as Parameters<typeof http2.createServer>[1]
  const server = isPlain
    ? http2.createServer(options, any)
    : http2.createSecureServer({ ...(await selfSigned()), ...options }, any)
  server.on('sessionError', () => {})
  const { port, sockets } = await listenForTest(server)
  return {
    url: `${isPlain ? 'http' : 'https'}://127.0.0.1:${port}/`,
    server,
    cut(response) {
      const { remotePort } = sessionOf(response).socket
      for (const socket of sockets) if (socket.remotePort === remotePort) socket.destroy()
    },
  }
}

/** Returns the stream of HTTP/2 of a response. */
export function streamOf(response: ServerResponse): ServerHttp2Stream {
  return (response as unknown as { readonly stream: ServerHttp2Stream }).stream
}

/** Returns the session of a response. */
export function sessionOf(response: ServerResponse): ServerHttp2Session {
  const session = streamOf(response).session as ServerHttp2Session | undefined
  if (!session) throw new Error('The session is closed.')
  return session
}

/** Counts the streams that each session has at a time. */
export class Concurrency {
  /** The most streams that a session had. */
  most = 0
  /** The sessions that had streams. */
  readonly sessions = new Set<ServerHttp2Session>()
  readonly #open = new Map<ServerHttp2Session, number>()

  add(response: ServerResponse): void {
    const session = sessionOf(response)
    this.sessions.add(session)
    const count = this.#count(session, 1)
    this.most = Math.max(this.most, count)
    response.on('close', () => this.#count(session, -1))
  }

  #count(session: ServerHttp2Session, change: number): number {
    const count = (this.#open.get(session) ?? 0) + change
    this.#open.set(session, count)
    return count
  }
}

/** Collects the responses of streams. The first request is that of the check before a run. */
export class Responses {
  readonly all: ServerResponse[] = []
  readonly requests: IncomingMessage[] = []
  #isChecked = false
  #wake: () => void = () => {}

  /** Returns false for the check before a run. */
  add(request: IncomingMessage, response: ServerResponse): boolean {
    if (!this.#isChecked) {
      this.#isChecked = true
      return false
    }
    this.all.push(response)
    this.requests.push(request)
    this.#wake()
    return true
  }

  /** Resolves when there were as many requests. */
  async count(count: number): Promise<readonly ServerResponse[]> {
    while (this.all.length < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.all
  }
}
