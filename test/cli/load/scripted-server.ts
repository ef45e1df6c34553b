import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** Serves requests on a free port of the loopback address. */
export async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Sends the response headers of an event stream. */
export function openStream(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.flushHeaders()
}

/** Texts that connections receive, by their last event id. The connection is closed after its text. */
export type Script = Readonly<Record<string, string>>

export interface ScriptedServer {
  readonly url: string
  /** The requests, without the first one, which `load` sends before it begins. */
  readonly requests: readonly IncomingMessage[]
  /**
   * Resolves when connections with a last event id that the script does not contain are open. These prove that a stream
   * has received everything before, and they stay open.
   */
  held(count: number): Promise<readonly ServerResponse[]>
  /** Resolves when there were requests of streams. */
  requested(count: number): Promise<void>
}

/** Serves a script. Streams have to reconnect to receive all of it. `open` starts the server, and returns its URL. */
export async function serveScript(
  script: Script,
  open: (listener: RequestListener) => Promise<string> = listen,
): Promise<ScriptedServer> {
  const requests: IncomingMessage[] = []
  const responses: ServerResponse[] = []
  let isFirst = true
  const arrivals = new EventEmitter()
  const url = await open((request, response) => {
    openStream(response)
    if (isFirst) {
      isFirst = false
      return
    }
    requests.push(request)
    arrivals.emit('requested')
    const text = script[String(request.headers['last-event-id'] ?? '')]
    if (text !== undefined) response.end(text)
    else {
      responses.push(response)
      arrivals.emit('held')
    }
  })
  return {
    url: `${url}/`,
    requests,
    async requested(count) {
      while (requests.length < count) await once(arrivals, 'requested')
    },
    async held(count) {
      while (responses.length < count) await once(arrivals, 'held')
      return responses
    },
  }
}

/** Returns numbered events. `'gap'` is a gap event, and a text is an id that ends a connection. */
export function events(...items: ReadonlyArray<number | string>): string {
  return items
    .map((item) => {
      if (item === 'gap') return 'event: gap\ndata: {}\n\n'
      return typeof item === 'number' ? `data: {"n":${item}}\n\n` : `id: ${item}\n\n`
    })
    .join('')
}
