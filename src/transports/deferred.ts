import type { Frame } from '../event/frame.ts'
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
    if (!this.#transport) this.#beginWith()
  }

  /** The response is somebody else's from here on. */
  abandon(): void {
    this.#transport ??= noTransport
  }

  write(frame: Frame): boolean {
    return this.#transport ? this.#transport.write(frame) : this.#beginWith(frame)
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

  /** Sends the head and what follows it. False: hold back. */
  #beginWith(frame?: Frame): boolean {
    const early = new EarlyTransport()
    this.#transport = early
    if (frame) early.write(frame)
    try {
      const transport = this.#sendHead()
      if (transport) return this.#goOnThrough(transport, early)
      this.#gone()
    } catch (error) {
      this.#gone(error as Error)
    }
    return false
  }

  #goOnThrough(transport: Transport, early: EarlyTransport): boolean {
    this.#transport = transport
    if (this.#isDestroyed) {
      transport.destroy()
      return false
    }
    const owner = this.#owner as TransportOwner
    transport.open(owner)
    if (this.#isProbed) transport.probe()
    owner._goesOnThrough(transport)
    return early.passOn(transport)
  }

  #gone(error?: Error): void {
    this.#transport = noTransport
    queueMicrotask(() => this.#owner?._closed(error))
  }
}

/** The way out while the head leaves: what a middleware sends from within its own `writeHead` comes after it. */
class EarlyTransport implements Transport {
  readonly #frames: Frame[] = []
  #isEnded = false

  /** False: hold back. */
  passOn(transport: Transport): boolean {
    let hasRoom = true
    for (const frame of this.#frames) hasRoom = transport.write(frame)
    if (this.#isEnded) transport.end()
    return hasRoom
  }

  write(frame: Frame): boolean {
    this.#frames.push(frame)
    return true
  }

  end(): void {
    this.#isEnded = true
  }

  open(): void {}
  probe(): void {}
  destroy(): void {}
}
