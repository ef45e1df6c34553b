import tls from 'node:tls'
import { hostOf, portOf, tlsOptionsOf } from '../../connection-options.ts'
import { Http2Probe } from './http2.ts'
import type { Probe, ProbeRequest } from './probe.ts'

/** A connection on which HTTP/2 is offered as a browser does, for one request. */
export class Http2Connection {
  /** Whether the server has not yet chosen a protocol. */
  isPending = false
  /** Whether the server chose HTTP/2, and no request was sent yet. */
  isOpen = false
  readonly #socket: tls.TLSSocket | undefined
  readonly #onChange: () => void

  /** Connects if the URL has TLS, without which browsers use no HTTP/2. `onChange` is called after `isPending`. */
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
    if (!this.#socket || !this.isOpen) throw new Error('HTTP/2 was not negotiated.')
    this.isOpen = false
    return new Http2Probe(this.#socket, request, this.#onChange)
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
