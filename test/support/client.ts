import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import type { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'
import type { Protocol } from './serve.ts'

/** A client that reads a body, stops reading, or leaves, as a test wants. */
export class Client {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly #pieces: string[] = []
  readonly #source: Readable
  readonly #leave: () => void
  /** `end`: the body ended as it should. `cut`: the connection was cut in the middle of it. */
  readonly ended: Promise<'end' | 'cut'>
  #watchers: Array<() => void> = []

  constructor(status: number, headers: Client['headers'], source: Readable, leave: () => void) {
    this.status = status
    this.headers = headers
    this.#source = source
    this.#leave = leave
    const decoder = new TextDecoder()
    source.on('data', (chunk: Buffer) => {
      this.#pieces.push(decoder.decode(chunk, { stream: true }))
      for (const look of this.#watchers) look()
    })
    this.ended = new Promise((resolve) => {
      // A reset stream of HTTP/2 ends too, with a code that says so.
      source.once('end', () => resolve((source as { rstCode?: number }).rstCode ? 'cut' : 'end'))
      source.once('error', () => resolve('cut'))
      source.once('close', () => resolve('cut'))
    })
    onTestFinished(() => this.leave())
  }

  /** All that was received so far. */
  get body(): string {
    return this.#pieces.join('')
  }

  /** The length of the body so far, without joining its pieces. */
  get length(): number {
    return this.#pieces.reduce((sum, piece) => sum + piece.length, 0)
  }

  /** Resolves when the body so far contains a text or satisfies a condition. */
  async until(condition: string | ((body: string) => boolean)): Promise<void> {
    const isMet = typeof condition === 'string' ? this.#finder(condition) : () => condition(this.body)
    await new Promise<void>((resolve) => {
      const look = () => {
        if (!isMet()) return
        this.#watchers = this.#watchers.filter((each) => each !== look)
        resolve()
      }
      this.#watchers.push(look)
      look()
    })
  }

  // Searches only what is new: a body of megabytes comes in thousands of pieces.
  #finder(text: string): () => boolean {
    let [read, rest] = [0, '']
    return () => {
      for (; read < this.#pieces.length; read++) {
        rest = rest.slice(-text.length) + this.#pieces[read]
        if (rest.includes(text)) return true
      }
      return false
    }
  }

  stopReading(): void {
    this.#source.pause()
  }

  readOn(): void {
    this.#source.resume()
  }

  leave(): void {
    this.#leave()
  }
}

export interface Get {
  path?: string
  method?: string
  headers?: Record<string, string>
  body?: string
}

/** Asks with HTTP/1.1 or HTTP/2, over TLS or not; resolves when the head is there. */
export function get(protocol: Protocol, port: number, options: Get = {}): Promise<Client> {
  return protocol === 'h2' || protocol === 'h2c'
    ? get2(protocol, port, options)
    : get1(protocol, port, options)
}

function get1(protocol: Protocol, port: number, { path = '/', method = 'GET', headers = {}, body }: Get) {
  const { request } = protocol === 'https' ? https : http
  return new Promise<Client>((resolve, reject) => {
    const asked = request({
      host: '127.0.0.1',
      port,
      path,
      method,
      headers,
      agent: false,
      rejectUnauthorized: false,
    })
    asked.once('error', reject)
    asked.once('response', (response) => {
      asked.on('error', () => {})
      resolve(new Client(response.statusCode ?? 0, response.headers, response, () => asked.destroy()))
    })
    asked.end(body)
  })
}

function get2(protocol: Protocol, port: number, { path = '/', method = 'GET', headers = {}, body }: Get) {
  const scheme = protocol === 'h2' ? 'https' : 'http'
  return new Promise<Client>((resolve, reject) => {
    const session = http2.connect(`${scheme}://127.0.0.1:${port}`, { rejectUnauthorized: false })
    session.on('error', reject)
    const stream = session.request(
      { ':path': path, ':method': method, ...headers },
      { endStream: body === undefined },
    )
    stream.on('error', reject)
    stream.once('response', (head) => {
      resolve(new Client(Number(head[':status']), head, stream, () => session.destroy()))
    })
    if (body !== undefined) stream.end(body)
  })
}

/** Sends bytes as they are and collects what comes back: for HTTP/1.0, pipelining and malformed requests. */
export function rawClient(port: number, request: string): Client {
  const socket = net.connect(port, '127.0.0.1', () => socket.write(request))
  socket.on('error', () => {})
  return new Client(0, {}, socket, () => socket.destroy())
}
