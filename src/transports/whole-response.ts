import { type NodeResponse, ResponseTransport } from './node-response.ts'

/** Collects the body of a response, which is sent as a whole at its end. */
export class WholeResponse extends ResponseTransport {
  readonly #body: Buffer[] = []
  readonly #send: (body: readonly Buffer[]) => Promise<void>

  /** `send` sends the response headers and a body. */
  constructor(response: NodeResponse, send: (body: readonly Buffer[]) => Promise<void>) {
    super(response)
    this.#send = send
  }

  override write(bytes: Buffer): boolean {
    this.#body.push(bytes)
    return true
  }

  override end(): void {
    // A middleware's own `writeHead` may throw.
    this.#send(this.#body).catch((error) => this.owner?._closed(error))
  }
}
