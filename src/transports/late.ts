import type { Frame } from '../frame.ts'
import { noTransport, type Transport, type TransportOwner } from './transport.ts'

/**
 * A way out whose head has not left: it leaves with the first write, or when it is told to. Until then whoever made it
 * may abandon it and answer otherwise.
 */
export class LateTransport implements Transport {
  readonly #sendHead: () => Transport | undefined
  #transport: Transport | undefined
  #owner: TransportOwner | undefined
  #isDestroyed = false

  /** `sendHead` answers undefined when there is nobody to send it to. */
  constructor(sendHead: () => Transport | undefined) {
    this.#sendHead = sendHead
  }

  open(owner: TransportOwner): void {
    this.#owner = owner
  }

  begin(): void {
    if (this.#transport) return
    const transport = this.#sendHead()
    this.#transport = transport ?? noTransport
    if (!transport) queueMicrotask(() => this.#owner?._gone())
    else if (this.#isDestroyed) transport.destroy()
    else transport.open(this.#owner as TransportOwner)
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
    this.#transport?.probe()
  }

  end(): void {
    this.begin()
    this.#transport?.end()
  }

  destroy(): void {
    this.#isDestroyed = true
    this.#transport?.destroy()
  }
}
