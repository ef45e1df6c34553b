import http from 'node:http'
import https from 'node:https'
import type { Probe, ProbeRequest } from './probe.ts'
import { Recorder } from './recorder.ts'

// The limit of Chromium, in bytes.
const MAX_HEADERS = 256 * 1024

/** A request over HTTP/1.1, on a separate connection that is kept alive, as browsers do. */
export class Http1Probe implements Probe {
  readonly exchange: Recorder
  readonly #agent: http.Agent
  readonly #request: http.ClientRequest

  /** `onChange` is called after each change of the exchange. */
  constructor(request: ProbeRequest, onChange: () => void) {
    this.exchange = new Recorder('HTTP/1.1', request, () => this.#notify(onChange))
    const isSecure = request.url.protocol === 'https:'
    // Without an agent, Node.js sends `Connection: close`, which no browser does.
    this.#agent = isSecure ? new https.Agent({ keepAlive: true }) : new http.Agent({ keepAlive: true })
    this.#request = (isSecure ? https : http).request(request.url, this.#optionsOf(request))
    const connected = isSecure ? 'secureConnect' : 'connect'
    this.#request.once('socket', (socket) => socket.once(connected, () => this.exchange.connect()))
    this.#listen()
    this.#request.end(request.body)
  }

  get isDone(): boolean {
    return this.exchange.isDone
  }

  close(): void {
    this.exchange.stop()
    this.#destroy()
  }

  #optionsOf({ method, headers, body, isInsecure }: ProbeRequest): https.RequestOptions {
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
    return {
      method,
      headers: { ...headers, ...length },
      agent: this.#agent,
      // Without this, a server that supports HTTP/2 may choose it.
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: !isInsecure,
      maxHeaderSize: MAX_HEADERS,
    } as https.RequestOptions
  }

  #listen(): void {
    const { exchange } = this
    this.#request.on('response', (response) => {
      exchange.respond(response.statusCode ?? 0, pairs(response.rawHeaders))
      response.on('data', (bytes: Buffer) => exchange.receive(bytes))
      response.on('end', () =>
        response.complete ? exchange.finish() : exchange.cut('aborted', 'ECONNRESET'),
      )
      response.on('error', (error: NodeJS.ErrnoException) => exchange.cut(error.message, error.code))
      response.on('close', () => response.complete || exchange.cut('aborted', 'ECONNRESET'))
    })
    // Without this listener, Node.js closes the connection, and the exchange ends without a response.
    this.#request.on('upgrade', (_response, socket) => socket.destroy())
    this.#request.on('error', (error: NodeJS.ErrnoException) => exchange.cut(error.message, error.code))
    this.#request.on(
      'close',
      () => exchange.status ?? exchange.cut('closed without a response', 'ECONNRESET'),
    )
  }

  #notify(onChange: () => void): void {
    if (this.isDone) this.#destroy()
    onChange()
  }

  #destroy(): void {
    this.#request.destroy()
    this.#agent.destroy()
  }
}

function pairs(rawHeaders: readonly string[]): Array<[string, string]> {
  return rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name, rawHeaders[i + 1] ?? '']] : [])) as Array<
    [string, string]
  >
}
