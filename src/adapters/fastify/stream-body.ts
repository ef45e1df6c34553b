import { Readable } from 'node:stream'
import { SseError } from '../../errors.ts'

/**
 * What Fastify is given to send: so its `onSend` hooks run, which serialise cookies, save sessions and count. When it
 * pipes the body into the response, the response is taken over.
 */
export class StreamBody extends Readable {
  readonly #response: unknown
  readonly #takeOver: () => void

  constructor(response: unknown, takeOver: () => void) {
    super()
    this.#response = response
    this.#takeOver = takeOver
    this.on('error', () => {}) // a hook may have put another body in its place
  }

  override pipe<T extends NodeJS.WritableStream>(destination: T): T {
    if (destination !== this.#response) throw isRead()
    this.#takeOver()
    return destination
  }

  /** @internal */
  override _read(): void {
    this.fail(isRead())
  }

  /** Has Fastify answer with an error. */
  fail(error: unknown): void {
    super.destroy(error as Error)
  }

  /** Asked for by Fastify when the response is over, which the stream sees for itself. It would count as a failure. */
  override destroy(): this {
    return this
  }
}

function isRead(): SseError {
  const message = 'An onSend hook reads the body of an event stream: have it leave text/event-stream alone.'
  return new SseError('ERR_SSE_RESPONSE', message)
}
