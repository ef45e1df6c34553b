import type { RequestListener } from 'node:http'
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { createSseStream } from '../../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../../src/http/options.ts'
import type { Hub } from '../../../src/hub/hub.ts'
import type { SseStream } from '../../../src/stream/stream.ts'
import { Client, type Get, get } from '../client.ts'
import { deferred } from '../deferred.ts'
import type { ProxySetup, RunningProxy } from './setups.ts'
import { Upstream } from './upstream.ts'

const FORMATS = ['event-stream', 'ndjson', 'json'] as const

/** A server and a proxy in front of it, for the tests of a `describe`. They are stopped after the tests. */
export class ServedBehindProxy {
  readonly #setup: Pick<ProxySetup, 'protocol' | 'start'>
  #upstream: Upstream | undefined
  #proxy: RunningProxy | undefined

  constructor(setup: Pick<ProxySetup, 'protocol' | 'start'>) {
    this.#setup = setup
    beforeAll(async () => {
      this.#upstream = await Upstream.start()
      this.#proxy = await setup.start(this.#upstream.port)
    })
    afterAll(async () => {
      await this.#proxy?.end()
      this.#upstream?.close()
    })
  }

  /** Adds a handler to the server behind the proxy. Returns its path. */
  route(handler: RequestListener): string {
    if (!this.#upstream) throw new Error('The server starts before the first test.')
    return this.#upstream.route(handler)
  }

  /** Adds a route for streams. `opened` resolves with the first one. All of them are destroyed after the test. */
  routeStreams(options?: SseStreamOptions, onStream: (stream: SseStream) => void = () => {}) {
    const first = deferred<SseStream>()
    const streams: SseStream[] = []
    const path = this.route((request, response) => {
      const stream = createSseStream(request, response, options)
      streams.push(stream)
      first.resolve(stream)
      onStream(stream)
    })
    onTestFinished(() => {
      for (const stream of streams) stream.destroy()
    })
    return { path, opened: first.promise }
  }

  /**
   * Adds a route that subscribes its clients to the channel `news` of a hub, in every format. `subscribed` resolves at
   * the first of them.
   */
  routeNews(hub: Hub, options?: SseStreamOptions) {
    const { path, opened } = this.routeStreams({ formats: FORMATS, ...options }, (stream) =>
      hub.subscribe(stream, 'news'),
    )
    return { path, subscribed: opened }
  }

  /** Requests a path through the proxy. Resolves when the response headers have arrived. */
  get(path: string, options: Get = {}): Promise<Client> {
    const headers = { accept: 'text/event-stream', ...options.headers }
    return get(this.#setup.protocol, this.port, { ...options, path, headers })
  }

  /**
   * Requests a path through the proxy over HTTP/1.1, and accepts gzip. The client reads the decompressed text, and
   * `encoding` is that of the body.
   */
  async getCompressed(path: string): Promise<{ client: Client; encoding: string | null }> {
    const controller = new AbortController()
    const { signal } = controller
    const headers = { accept: 'text/event-stream', 'accept-encoding': 'gzip' }
    const response = await fetch(this.url(path), { headers, signal })
    const body = Readable.fromWeb(response.body as ReadableStream)
    const client = new Client(response.status, {}, body, () => controller.abort())
    return { client, encoding: response.headers.get('content-encoding') }
  }

  /** Requests a stream through the proxy. Resolves when the response headers have arrived. */
  async open(options?: SseStreamOptions, request?: Get) {
    const { path, opened } = this.routeStreams(options)
    const client = await this.get(path, request)
    return { client, stream: await opened }
  }

  /** Restarts the proxy. Resolves when it accepts connections. */
  async restart(): Promise<void> {
    await this.#proxy?.restart?.()
  }

  /** Sends a signal that reloads the proxy. Resolves when the proxy has written the notice, if there is one. */
  async reload(signal: NodeJS.Signals, notice?: string): Promise<void> {
    await this.#proxy?.reload?.(signal, notice)
  }

  /** Returns the URL of a path of the proxy. */
  url(path: string): string {
    return `${this.#setup.protocol === 'h2' ? 'https' : 'http'}://127.0.0.1:${this.port}${path}`
  }

  get port(): number {
    if (!this.#proxy) throw new Error('The proxy starts before the first test.')
    return this.#proxy.port
  }
}
