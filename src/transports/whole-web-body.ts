import type { Transport, TransportOwner } from './transport.ts'

/** Collects the body of a web `Response`, which is created as a whole at its end. */
export class WholeWebBody implements Transport {
  readonly #body: Buffer[] = []
  #respond: (body: readonly Buffer[] | undefined) => void
  #owner: TransportOwner | undefined

  /** `respond` is called once: at the end with the body, or without one if the stream was destroyed or disconnected. */
  constructor(respond: (body: readonly Buffer[] | undefined) => void) {
    this.#respond = respond
  }

  open(owner: TransportOwner): void {
    this.#owner = owner
  }

  write(bytes: Buffer): boolean {
    this.#body.push(bytes)
    return true
  }

  end(): void {
    this.#respond(this.#body)
    queueMicrotask(() => this.#close())
  }

  abandon(): void {
    this.#respond = () => {}
  }

  destroy(): void {
    this.#owner = undefined
    this.#respond(undefined)
  }

  /** Ends the stream because the client has disconnected. */
  disconnect(): void {
    this.#respond(undefined)
    this.#close()
  }

  #close(): void {
    const owner = this.#owner
    this.#owner = undefined
    owner?._closed()
  }
}
