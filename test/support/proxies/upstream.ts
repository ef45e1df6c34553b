import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** A server behind a proxy. It outlives a test, so that each test has paths of its own. */
export class Upstream {
  readonly port: number
  readonly #handlers: Map<string, RequestListener>
  readonly #close: () => void
  #routes = 0

  private constructor(port: number, handlers: Map<string, RequestListener>, close: () => void) {
    this.port = port
    this.#handlers = handlers
    this.#close = close
  }

  static async start(): Promise<Upstream> {
    const handlers = new Map<string, RequestListener>()
    const sockets = new Set<Socket>()
    const server = createServer((request, response) => {
      const [path = ''] = (request.url ?? '').split('?')
      const handler = handlers.get(path) ?? sendPage
      handler(request, response)
    })
    server.on('connection', (socket) => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    })
    server.listen({ port: 0, host: '127.0.0.1', backlog: 16_384 })
    await once(server, 'listening')
    return new Upstream((server.address() as AddressInfo).port, handlers, () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
  }

  /** Adds a handler. Returns its path. */
  route(handler: RequestListener): string {
    this.#routes += 1
    const path = `/events/${this.#routes}`
    this.#handlers.set(path, handler)
    return path
  }

  close(): void {
    this.#close()
  }
}

// A browser reads from its own origin, so that it needs a page of the same server.
const sendPage: RequestListener = (request, response) => {
  response.writeHead(request.url === '/' ? 200 : 404, { 'Content-Type': 'text/html' }).end()
}
