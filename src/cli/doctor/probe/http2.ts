import http2 from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { Probe, ProbeRequest } from './probe.ts'
import { Recorder } from './recorder.ts'

/** A request over HTTP/2, on a connection that negotiated it. The probe closes the connection. */
export class Http2Probe implements Probe {
  readonly exchange: Recorder
  readonly #session: http2.ClientHttp2Session

  /** `onChange` is called after each change of the exchange. */
  constructor(socket: TLSSocket, request: ProbeRequest, onChange: () => void) {
    this.exchange = new Recorder('HTTP/2', request, () => {
      if (this.isDone) this.#session.destroy()
      onChange()
    })
    this.exchange.connect()
    this.#session = http2.connect(request.url, { createConnection: () => socket })
    this.#session.on('error', (error: NodeJS.ErrnoException) => this.exchange.cut(error.message, error.code))
    this.#session.on('close', () => this.exchange.cut('closed without the end of the stream', 'ECONNRESET'))
    this.#listen(this.#session.request(this.#headersOf(request)), request.body)
  }

  get isDone(): boolean {
    return this.exchange.isDone
  }

  close(): void {
    this.exchange.stop()
    this.#session.destroy()
  }

  #headersOf({ url, method, headers }: ProbeRequest): http2.OutgoingHttpHeaders {
    return { ...headers, ':method': method, ':path': `${url.pathname}${url.search}` }
  }

  #listen(stream: http2.ClientHttp2Stream, body: string | undefined): void {
    const { exchange } = this
    stream.on('response', (headers) => exchange.respond(Number(headers[':status']), pairsOf(headers)))
    stream.on('data', (bytes: Buffer) => exchange.receive(bytes))
    // A reset without an error code also emits `end`, and is a proper end.
    stream.on('end', () => stream.rstCode === http2.constants.NGHTTP2_NO_ERROR && exchange.finish())
    stream.on('error', (error: NodeJS.ErrnoException) => exchange.cut(error.message, error.code))
    stream.on('close', () => exchange.cut(`reset with the code ${stream.rstCode}`, 'ECONNRESET'))
    stream.end(body)
  }
}

function pairsOf(headers: http2.IncomingHttpHeaders): Array<[string, string]> {
  return Object.entries(headers)
    .filter(([name]) => !name.startsWith(':'))
    .flatMap(([name, value]) => [value ?? []].flat().map((each): [string, string] => [name, each]))
}
