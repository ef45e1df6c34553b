import { SLICE_BYTES } from '../event/frame.ts'
import { type NodeResponse, ResponseTransport } from './node-response.ts'

/** Collects the body of a response, which is sent as a whole at its end. */
export class WholeResponse extends ResponseTransport {
  /** Whether the response was released to the framework. */
  isReleased = false
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

  abandon(): void {
    this.isReleased = !this.response.headersSent
  }

  override destroy(): void {
    if (!this.isReleased) super.destroy()
  }

  /**
   * Ends the response with a body, in slices, because otherwise a client that reads it slowly looks like one that has
   * stalled. Without a body, writes nothing, because a strict server throws for the empty body of a 304.
   */
  endWith(body: Buffer | undefined): void {
    if (!body) return void this.response.end()
    // A wrapped `write` may not report when a slice was written, so that the body is written as a whole.
    if (body.length <= SLICE_BYTES || Object.hasOwn(this.response, 'write'))
      return void this.response.end(body)
    this.response.write(body.subarray(0, SLICE_BYTES), (error) => {
      if (error) return
      this.owner?._drained()
      this.endWith(body.subarray(SLICE_BYTES))
    })
  }
}
