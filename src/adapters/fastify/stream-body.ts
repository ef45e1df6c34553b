import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest, RawServerBase, RouteGenericInterface } from 'fastify'
import { SseError } from '../../errors.ts'
import type { AnswerHooks } from '../../http/answer-request.ts'

export type AnyReply = FastifyReply<RouteGenericInterface, RawServerBase>

/**
 * The body passed to `reply.send`, so that Fastify runs its `onSend` hooks, which for example set cookies and save
 * sessions. The event stream is created when Fastify pipes the body into the response. It owns the response once its
 * headers are sent.
 */
export class StreamBody extends Readable implements AnswerHooks {
  readonly #reply: AnyReply
  readonly #respond: (hooks: AnswerHooks) => Promise<unknown>
  #hasResponded = false

  constructor(reply: AnyReply, respond: (hooks: AnswerHooks) => Promise<unknown>) {
    super()
    this.#reply = reply
    this.#respond = respond
    this.on('error', () => {}) // a hook may have replaced the body, so nothing else handles its errors
  }

  get request(): FastifyRequest {
    return this.#reply.request as FastifyRequest
  }

  override pipe<T extends NodeJS.WritableStream>(destination: T): T {
    if ((destination as unknown) !== this.#reply.raw) throw readError()
    this.#watchSend()
    this.#respond(this).catch((error) => this.onHeadersError(error))
    return destination
  }

  /** @internal */
  override _read(): void {
    super.destroy(readError())
  }

  /** Does nothing. Fastify calls it after the response has closed and would then report the body as failed. */
  override destroy(): this {
    return this
  }

  hasResponded(): boolean {
    return this.#hasResponded
  }

  beforeHeaders(): void {
    copyHeaders(this.#reply)
  }

  onHeaders(): void {
    this.#reply.hijack()
  }

  /** Passes an error to Fastify, or logs it if there is a response already. */
  onHeadersError(error: unknown): void {
    const { request, sent } = this.#reply
    if (sent || this.#hasResponded)
      request.log.error({ err: error }, 'An event stream was closed by an error.')
    else super.destroy(error as Error)
  }

  // Notes a response that the handler sends with `reply.send`. Hooks may delay it beyond the time when stream headers
  // are sent.
  #watchSend(): void {
    const { send } = this.#reply
    this.#reply.send = (payload) => {
      this.#hasResponded = true
      return send.call(this.#reply, payload)
    }
  }
}

/** Sets the headers of a reply on its response. */
export function copyHeaders(reply: AnyReply): void {
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    reply.raw.setHeader(name, value as string | string[])
  }
}

function readError(): SseError {
  const message = 'An onSend hook reads the body of an event stream. Make it skip text/event-stream.'
  return new SseError('ERR_SSE_RESPONSE', message)
}
