import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import type { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { decode } from './decode.ts'
import type { Protocol } from './serve.ts'

/** A client that reads a body, and decompresses it. A test can make it stop reading or disconnect. */
export class Client {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly #chunks: string[] = []
  readonly #source: Readable
  readonly #disconnect: () => void
  /** Resolves with `end` if the body ended properly, and with `cut` if the connection was cut before its end. */
  readonly ended: Promise<'end' | 'cut'>
  #watchers: Array<() => void> = []

  constructor(status: number, headers: Client['headers'], body: Readable, disconnect: () => void) {
    this.status = status
    this.headers = headers
    const source = decode(body, `${headers['content-encoding'] ?? ''}`)
    this.#source = source
    this.#disconnect = disconnect
    const decoder = new TextDecoder()
    source.on('data', (chunk: Buffer) => {
      this.#chunks.push(decoder.decode(chunk, { stream: true }))
      for (const check of this.#watchers) check()
    })
    this.ended = new Promise((resolve) => {
      // A reset stream of HTTP/2 also emits `end`, but has an error code.
      source.once('end', () => resolve((source as { rstCode?: number }).rstCode ? 'cut' : 'end'))
      source.once('error', () => resolve('cut'))
      source.once('close', () => resolve('cut'))
    })
    onTestFinished(() => this.disconnect())
  }

  /** The text that was received so far. */
  get body(): string {
    return this.#chunks.join('')
  }

  /** The length of the body so far, without joining its chunks. */
  get length(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  }

  /** Resolves when the body so far contains a text or satisfies a condition. */
  async until(condition: string | ((body: string) => boolean)): Promise<void> {
    const isMet = typeof condition === 'string' ? this.#finder(condition) : () => condition(this.body)
    await new Promise<void>((resolve) => {
      const check = () => {
        if (!isMet()) return
        this.#watchers = this.#watchers.filter((each) => each !== check)
        resolve()
      }
      this.#watchers.push(check)
      check()
    })
  }

  // Searches only new chunks, because a body of megabytes arrives in thousands of chunks.
  #finder(text: string): () => boolean {
    let [read, rest] = [0, '']
    return () => {
      for (; read < this.#chunks.length; read++) {
        rest = rest.slice(-text.length) + this.#chunks[read]
        if (rest.includes(text)) return true
      }
      return false
    }
  }

  stopReading(): void {
    this.#source.pause()
  }

  resumeReading(): void {
    this.#source.resume()
  }

  disconnect(): void {
    this.#disconnect()
  }
}

export interface Get {
  path?: string
  method?: string
  headers?: Record<string, string>
  body?: string
}

/** Sends a request over HTTP/1.1 or HTTP/2, with or without TLS. Resolves when the response headers have arrived. */
export function get(protocol: Protocol, port: number, options: Get = {}): Promise<Client> {
  return protocol === 'h2' || protocol === 'h2c'
    ? get2(protocol, port, options)
    : get1(protocol, port, options)
}

function get1(protocol: Protocol, port: number, { path = '/', method = 'GET', headers = {}, body }: Get) {
  const client = protocol === 'https' ? https : http
  return new Promise<Client>((resolve, reject) => {
    const request = client.request({
      host: '127.0.0.1',
      port,
      path,
      method,
      headers,
      agent: false,
      rejectUnauthorized: false,
    })
    request.once('error', reject)
    request.once('response', (response) => {
      request.on('error', () => {})
      resolve(new Client(response.statusCode ?? 0, response.headers, response, () => request.destroy()))
    })
    request.end(body)
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
    stream.once('response', (responseHeaders) => {
      const status = Number(responseHeaders[':status'])
      resolve(new Client(status, responseHeaders, stream, () => session.destroy()))
    })
    if (body !== undefined) stream.end(body)
  })
}

/** Sends text unchanged and collects the response, for HTTP/1.0, pipelining and malformed requests. */
export function rawClient(port: number, request: string): Client {
  const socket = net.connect(port, '127.0.0.1', () => socket.write(request))
  socket.on('error', () => {})
  return new Client(0, {}, socket, () => socket.destroy())
}
