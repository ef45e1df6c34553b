import type { Frame } from '../frame.ts'
import { noTransport, type Transport, type TransportOwner } from './transport.ts'

/**
 * A way out whose head has not left: it leaves with the first write, or when it is told to, and then the stream goes on
 * through the transport behind it. Until then whoever made it may abandon it and answer otherwise.
 */
export class LateTransport implements Transport {
  readonly #sendHead: () => Transport | undefined
  #transport: Transport | undefined
  #owner: TransportOwner | undefined
  #isProbed = false
  #isDestroyed = false

  /** `sendHead` answers undefined when there is nobody to send it to. What it throws ends the stream. */
  constructor(sendHead: () => Transport | undefined) {
    this.#sendHead = sendHead
  }

  open(owner: TransportOwner): void {
    this.#owner = owner
  }

  /** Sends the head, once. Never throws. */
  begin(): void {
    if (this.#transport) return
    this.#transport = noTransport
    try {
      const transport = this.#sendHead()
      if (transport) this.#goOnThrough(transport)
      else this.#gone()
    } catch (error) {
      this.#gone(error as Error)
    }
  }

  /** The response is somebody else's from here on. */
  abandon(): void {
    this.#transport ??= noTransport
  }

  write(frame: Frame): boolean {
    this.begin()
    return (this.#transport as Transport).write(frame)
  }

  probe(): void {
    this.#isProbed = true
  }

  end(): void {
    this.begin()
    this.#transport?.end()
  }

  destroy(): void {
    this.#isDestroyed = true
  }

  #goOnThrough(transport: Transport): void {
    this.#transport = transport
    if (this.#isDestroyed) {
      transport.destroy()
    } else {
      const owner = this.#owner as TransportOwner
      transport.open(owner)
      if (this.#isProbed) transport.probe()
      owner._goesOnThrough(transport)
    }
  }

  #gone(error?: Error): void {
    queueMicrotask(() => this.#owner?._gone(error))
  }
}
