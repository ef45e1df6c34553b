import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import http2 from 'node:http2'
import type { Server } from 'node:net'
import { selfSigned } from '../serve.ts'
import { Feed, type FeedEvent } from './feed.ts'

export type Headers = Record<string, string | undefined>
export type Block = string | Buffer

const ORIGIN = 'https://app.example'

/**
 * An event stream without a fault, over HTTP/1.1 or HTTP/2. A subclass overrides one method, so that it has exactly one
 * fault. Each response begins with a block that only has an id, so that a client without an event can resume too.
 */
export class StreamServer {
  /** Whether it is served with TLS, over HTTP/2 and HTTP/1.1. */
  readonly isSecure: boolean = false
  /** The time between two events, and between two heartbeats, in ms. */
  protected readonly interval: number = 250
  protected readonly heartbeat: number = 400
  #feed: Feed | undefined

  protected get feed(): Feed {
    this.#feed ??= new Feed(this.interval)
    return this.#feed
  }

  close(): void {
    this.#feed?.close()
  }

  async createServer(): Promise<Server> {
    const handle: http.RequestListener = (request, response) => this.handle(request, response)
    if (!this.isSecure) return http.createServer(handle)
    // The types of HTTP/2 differ, but have the same methods.
    const any = handle as unknown as Parameters<typeof http2.createSecureServer>[1]
    return http2.createSecureServer({ ...(await selfSigned()), allowHTTP1: true }, any)
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    request.resume()
    // A disconnect of the doctor is not an error.
    response.on('error', () => {})
    if (request.method === 'OPTIONS') this.preflight(request, response)
    else if (request.method === 'HEAD') this.head(request, response)
    else if (`${request.url}`.includes('format=json')) this.poll(request, response)
    else if (`${request.url}`.includes('format=ndjson')) this.ndjson(request, response)
    else this.stream(request, response)
  }

  protected preflight(request: IncomingMessage, response: ServerResponse): void {
    const names = { 'access-control-allow-headers': 'Last-Event-ID', 'access-control-allow-methods': 'GET' }
    response.writeHead(204, defined({ ...this.corsHeaders(request), ...names })).end()
  }

  protected head(request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, defined(this.headers(request))).end()
  }

  protected poll(_request: IncomingMessage, response: ServerResponse): void {
    this.json(response, this.page(), { 'cache-control': 'no-store' })
  }

  protected ndjson(_request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': this.ndjsonType(), 'cache-control': 'no-store' })
    for (const line of this.ndjsonLines()) response.write(`${line}\n`)
    response.end()
  }

  protected ndjsonType(): string {
    return 'application/x-ndjson'
  }

  protected ndjsonLines(): string[] {
    return ['', '{"event":"message","id":"1","data":1}', '{"event":"message","id":"2","data":2}']
  }

  protected page(): object {
    const events = [{ event: 'message', id: '1', data: 1 }]
    return { events, lastEventId: '1', retry: 0 }
  }

  protected json(response: ServerResponse, value: object, headers: Headers): void {
    const body = JSON.stringify(value)
    const own = { 'content-type': 'application/json', 'content-length': `${Buffer.byteLength(body)}` }
    response.writeHead(200, defined({ ...own, ...headers })).end(body)
  }

  /** Sends a stream: the response headers, the beginning, missed events, then events and heartbeats. */
  protected stream(request: IncomingMessage, response: ServerResponse): void {
    this.sendHeaders(request, response)
    this.begin(request, response)
  }

  /** Sends the body of a stream. */
  protected begin(request: IncomingMessage, response: ServerResponse): void {
    const lastEventId = request.headers['last-event-id']
    this.write(response, this.beginning())
    const missed = typeof lastEventId === 'string' ? this.missed(lastEventId) : this.first()
    for (const block of missed) this.write(response, block)
    this.follow(response)
  }

  protected sendHeaders(request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, defined(this.headers(request)))
  }

  protected headers(request: IncomingMessage): Headers {
    return {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      ...this.corsHeaders(request),
    }
  }

  protected corsHeaders(request: IncomingMessage): Headers {
    if (request.headers.origin !== ORIGIN) return { vary: 'Origin' }
    const allowed = { 'access-control-allow-origin': ORIGIN, 'access-control-allow-credentials': 'true' }
    return { ...allowed, vary: 'Origin' }
  }

  /** Returns the first bytes of each response. */
  protected beginning(): Block {
    return ':\nretry: 2000\n'
  }

  /** Returns the first blocks for a client without an id. */
  protected first(): Block[] {
    return [`id: ${this.feed.newestId}\n\n`]
  }

  /** Returns the first blocks for a client with an id. */
  protected missed(lastEventId: string): Block[] {
    const events = this.feed.after(lastEventId)
    return events ? events.map((event) => this.block(event)) : ['event: gap\ndata: {}\n\n', ...this.first()]
  }

  protected follow(response: ServerResponse): void {
    const stop = this.feed.read((event) => this.write(response, this.block(event)))
    const timer = setInterval(() => this.write(response, ':\n'), this.heartbeat)
    response.once('close', () => {
      stop()
      clearInterval(timer)
    })
  }

  protected block({ id, data }: FeedEvent): Block {
    return `id: ${id}\ndata: ${data}\n\n`
  }

  protected write(response: ServerResponse, block: Block): void {
    if (!response.writableEnded && !response.destroyed) response.write(block)
  }
}

/** Returns headers without those that are undefined. */
export function defined(headers: Headers): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}
