import { isPlain } from '../check-options.ts'
import { describe, SseError } from '../errors.ts'
import type { MaybePromise } from '../event/source.ts'
import { clock, type TimerTarget } from '../scheduler/clock.ts'
import { outsideRequests } from '../scheduler/context.ts'
import { Deadline } from '../scheduler/deadline.ts'
import { expiresAt } from '../scheduler/jitter.ts'
import type { CloseTarget, Reauthorization } from '../stream/attachments.ts'
import { checkExpiresAt } from '../stream/expiry.ts'
import { type Refusal, refusalOf, refuseStream } from '../stream/refusal.ts'
import type { SseContext } from '../stream/register.ts'
import type { SseStream } from '../stream/stream.ts'
import { authorizeErrorChannel } from './diagnostics.ts'

/** What a client may do that gets a stream. */
export interface Grant {
  /** Becomes `stream.context`: an object. Default: it stays. */
  readonly context?: SseContext | undefined
  /** Becomes `stream.expiresAt`: a `Date`, or a time in ms since 1970. Default: it stays. */
  readonly expiresAt?: Date | number | undefined
}

/**
 * Decides whether the client of a stream may have it. True or a `Grant` admits it. False refuses it with status 403, and
 * `{ status }` with another one. `{ retry }` makes it reconnect later. Any other value is an error, which does too. What is
 * sent meanwhile waits for the decision, and is dropped if it is a refusal.
 */
export type Authorize<Stream = SseStream> = (stream: Stream) => MaybePromise<boolean | Refusal | Grant>

/** Options of an authorization. Times are in ms. */
export interface AuthorizationSettings {
  readonly authorize: Authorize<never>
  /** How often `authorize` is called while the stream is open. Default 0: never. */
  readonly reauthorize?: number
  /** How long `authorize` may take. Default 10 000. */
  readonly authorizeTimeout?: number
  /** When a client reconnects for which `authorize` has failed. */
  readonly retry: number
}

// The functions whose first error was printed.
const printed = new WeakSet<object>()

/** Calls `authorize` for one stream: before its response headers, at an interval and on demand. */
export class Authorization implements TimerTarget, CloseTarget, Reauthorization {
  readonly #stream: SseStream
  readonly #settings: AuthorizationSettings
  #recheck: Promise<void> | undefined
  // Whether another check follows the present one, which may have read the rights before they changed.
  #isRepeated = false

  constructor(stream: SseStream, settings: AuthorizationSettings) {
    this.#stream = stream
    this.#settings = settings
  }

  /** Returns how the client is refused, or undefined. Never rejects. */
  async check(): Promise<Refusal | undefined> {
    const { authorize, authorizeTimeout = 10_000, retry } = this.#settings
    try {
      const decision = await within(authorizeTimeout, async () => authorize(this.#stream as never))
      return this.#apply(decision)
    } catch (error) {
      // A client that has disconnected often makes the work for it fail.
      if (!this.#stream.closed) this.#report(error)
      return { retry: Math.max(retry, 1) }
    }
  }

  /** Starts the checks of an open stream. */
  start(): void {
    this.#stream._reauthorization = this
    if (!this.#settings.reauthorize) return
    this.#stream._addCloseTarget(this as CloseTarget)
    this.#schedule()
  }

  /** @internal */
  _recheck(): Promise<void> {
    if (this.#stream.closed) return Promise.resolve()
    this.#isRepeated = true
    this.#recheck ??= this.#checkAgain()
    return this.#recheck
  }

  /** @internal */
  _onTimer(): void {
    // The work of a timer belongs to no request.
    outsideRequests(() => void this._recheck().then(() => this.#schedule()))
  }

  /** @internal */
  _streamClosed(): void {
    clock.cancel(this)
  }

  async #checkAgain(): Promise<void> {
    do {
      this.#isRepeated = false
      const refusal = await this.check()
      if (refusal) refuseStream(this.#stream, refusal, 'unauthorized')
    } while (this.#isRepeated && !this.#stream.closed)
    // In the same step. Otherwise a call in between would get the decision from before it.
    this.#recheck = undefined
  }

  // Up to a tenth earlier, so that the streams of a deploy are not all checked at once.
  #schedule(): void {
    const { reauthorize = 0 } = this.#settings
    if (!this.#stream.closed) clock.schedule(this, expiresAt(clock.read(), reauthorize))
  }

  // A value that is not a decision refuses the client. Otherwise a forgotten `return` would admit everybody.
  #apply(decision: unknown): Refusal | undefined {
    if (decision === true) return undefined
    if (decision === false) return { status: 403 }
    const refusal = refusalOf(decision)
    if (refusal) return refusal
    const { context, expiresAt } = grantOf(decision)
    if (context !== undefined) this.#stream.context = context
    if (expiresAt === undefined) return undefined
    if (Number(expiresAt) <= Date.now()) return { status: 401 }
    this.#stream.expiresAt = expiresAt
    return undefined
  }

  #report(error: unknown): void {
    if (authorizeErrorChannel.hasSubscribers) authorizeErrorChannel.publish({ stream: this.#stream, error })
    else if (!printed.has(this.#settings.authorize)) {
      printed.add(this.#settings.authorize)
      const hint =
        'Spillway prints no further errors of this route: subscribe to the channel spillway:authorize:error.'
      console.error(
        `authorize has failed, so that its client was refused and reconnects later. ${hint}`,
        error,
      )
    }
  }
}

function grantOf(decision: unknown): Grant {
  const { context, expiresAt, ...others } = Object(decision) as Grant
  const isContext = context === undefined || isPlain(context)
  const isTime = expiresAt === undefined || checkExpiresAt(expiresAt) === undefined
  // The user of a database, or `{ error }`, is no grant.
  const isGrant =
    isPlain(decision) && Object.values(others).every((each) => each === undefined) && isContext && isTime
  if (isGrant) return { context, expiresAt }
  const expected = 'true, false, { status }, { retry }, or { context, expiresAt } with times in ms'
  throw new SseError('ERR_SSE_AUTHORIZE', `authorize must return ${expected}, not ${describe(decision)}.`)
}

/** Rejects with `SseError` `ERR_SSE_AUTHORIZE` if work takes longer than `ms`. */
function within<Result>(ms: number, work: () => Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const message = `authorize has not decided within ${ms} ms.`
    const deadline = new Deadline(ms, () => reject(new SseError('ERR_SSE_AUTHORIZE', message)))
    work()
      .finally(() => deadline.cancel())
      .then(resolve, reject)
  })
}
