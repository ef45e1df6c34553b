import tls from 'node:tls'
import { hostOf, portOf, tlsOptionsOf } from '../../connection-options.ts'
import { sendHttp2 } from './http2.ts'
import type { Probe, ProbeRequest } from './probe.ts'

/** A connection on which HTTP/2 is offered as a browser does, for one request. */
export class Http2Connection {
  /** Whether it is not known yet what the server chooses. */
  isPending = false
  /** Whether HTTP/2 was chosen, and no request was sent yet. */
  isOpen = false
  readonly #socket: tls.TLSSocket | undefined
  readonly #onChange: () => void

  /** Connects if the URL has TLS, because browsers use HTTP/2 with TLS only. `onChange` is called when it is not pending. */
  constructor({ url, isInsecure }: Pick<ProbeRequest, 'url' | 'isInsecure'>, onChange: () => void) {
    this.#onChange = onChange
    if (url.protocol !== 'https:') return
    this.isPending = true
    this.#socket = tls.connect({
      host: hostOf(url),
      port: portOf(url),
      ...tlsOptionsOf(url, ['h2', 'http/1.1'], isInsecure),
    })
    this.#socket.once('secureConnect', () => this.#settle(this.#socket?.alpnProtocol === 'h2'))
    this.#socket.on('error', () => this.#settle(false))
    this.#socket.once('close', () => this.#settle(false))
  }

  /** Sends the request. The probe then owns the connection. */
  send(request: ProbeRequest): Probe {
    if (!this.#socket || !this.isOpen) throw new Error('No connection on which HTTP/2 was chosen.')
    this.isOpen = false
    return sendHttp2(this.#socket, request, this.#onChange)
  }

  close(): void {
    if (this.isPending || this.isOpen) this.#socket?.destroy()
  }

  #settle(isChosen: boolean): void {
    this.isPending = false
    this.isOpen = isChosen
    if (!isChosen) this.#socket?.destroy()
    this.#onChange()
  }
}
