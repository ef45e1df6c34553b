import { Readable } from 'node:stream'
import type { FastifyReply, RawServerBase, RouteGenericInterface } from 'fastify'
import { SseError } from '../../errors.ts'
import type { AnswerHooks } from '../../http/answer-request.ts'

export type AnyReply = FastifyReply<RouteGenericInterface, RawServerBase>

/**
 * What Fastify is given to send: so its `onSend` hooks run, which serialise cookies, save sessions and count. When it
 * pipes the body into the response, the stream is made, which has the reply to itself once its head has left.
 */
export class StreamBody extends Readable implements AnswerHooks {
  readonly #reply: AnyReply
  readonly #answer: (hooks: AnswerHooks) => Promise<unknown>
  #isAnswered = false

  constructor(reply: AnyReply, answer: (hooks: AnswerHooks) => Promise<unknown>) {
    super()
    this.#reply = reply
    this.#answer = answer
    this.on('error', () => {}) // a hook may have put another body in its place
  }

  override pipe<T extends NodeJS.WritableStream>(destination: T): T {
    if ((destination as unknown) !== this.#reply.raw) throw isRead()
    this.#watchSend()
    this.#answer(this).catch((error) => this.onHeadError(error))
    return destination
  }

  /** @internal */
  override _read(): void {
    super.destroy(isRead())
  }

  /** Asked for by Fastify when the response is over, which the stream sees for itself. It would count as a failure. */
  override destroy(): this {
    return this
  }

  isAnswered(): boolean {
    return this.#isAnswered
  }

  onHead(): void {
    this.#reply.hijack()
  }

  /** Has Fastify answer with an error, or cut off what a hook has begun, unless there is an answer already. */
  onHeadError(error: unknown): void {
    const { request, sent } = this.#reply
    if (sent || this.#isAnswered) request.log.error({ err: error }, 'An event stream was ended by an error.')
    else super.destroy(error as Error)
  }

  // What the handler sends by itself has hooks to pass, which may take longer than the head of a stream.
  #watchSend(): void {
    const { send } = this.#reply
    this.#reply.send = (payload) => {
      this.#isAnswered = true
      return send.call(this.#reply, payload as never)
    }
  }
}

function isRead(): SseError {
  const message = 'An onSend hook reads the body of an event stream: have it leave text/event-stream alone.'
  return new SseError('ERR_SSE_RESPONSE', message)
}
