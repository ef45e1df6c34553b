import { checkOptions, checkValue, isPlain } from '../check-options.ts'
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

/**
 * The rights of an admitted client. `context` becomes `stream.context`: an object, which MUST NOT be undefined.
 * `expiresAt` becomes `stream.expiresAt`: a `Date`, or a time in ms since 1970. A value that is missing stays as it is.
 */
export type Grant =
  | { readonly context: SseContext; readonly expiresAt?: Date | number | undefined }
  | { readonly context?: never; readonly expiresAt: Date | number }

/**
 * Returns whether the client of a stream may have it. True or a `Grant` admits it. False refuses it with status 403,
 * and `{ status }` with another status. `{ retry }` makes it reconnect later. Any other value is an error, which does
 * so too. Frames that are sent meanwhile wait for the decision, and are dropped after a refusal.
 */
export type Authorize<Stream = SseStream> = (stream: Stream) => MaybePromise<boolean | Refusal | Grant>

/** Options of an authorization. Times are in ms. */
export interface AuthorizationSettings {
  readonly authorize: Authorize<never>
  /** How often `authorize` is called while the stream is open. Default 0: never. */
  readonly reauthorize?: number
  /** How long `authorize` may take. Default 10 000. */
  readonly authorizeTimeout?: number
  /** The reconnection time of a client for which `authorize` has failed. */
  readonly retry: number
}

const GRANT_CHECKS = {
  context: (context: unknown) => (isPlain(context) ? undefined : 'an object'),
  expiresAt: checkExpiresAt,
}

// The functions whose first error was printed.
const printed = new WeakSet<object>()

/** Calls `authorize` for one stream: before its response headers, at an interval and on demand. */
export class Authorization implements TimerTarget, CloseTarget, Reauthorization {
  readonly #stream: SseStream
  readonly #settings: AuthorizationSettings
  // The checks in progress.
  #pending: Promise<undefined> | undefined
  // Whether another check follows the present one, because rights may have changed after the present one read them.
  #isRepeated = false

  constructor(stream: SseStream, settings: AuthorizationSettings) {
    this.#stream = stream
    this.#settings = settings
    // From the first check on, because rights may change while it is pending.
    stream._reauthorization = this
  }

  /** Starts the checks at an interval, which continue until the connection of the stream is closed. */
  start(): void {
    if (!this.#settings.reauthorize) return
    this.#stream._addCloseTarget(this)
    this.#schedule()
  }

  /** @internal */
  _recheck(): Promise<undefined> {
    if (this.#isClosed) return Promise.resolve(undefined)
    this.#isRepeated = true
    this.#pending ??= this.#checkAll()
    return this.#pending
  }

  /** Returns how the client is refused, or undefined. Never rejects. */
  async #check(): Promise<Refusal | undefined> {
    const { authorize, authorizeTimeout = 10_000, retry } = this.#settings
    try {
      const decision = await within(authorizeTimeout, async () => authorize(this.#stream as never))
      return this.#apply(decision)
    } catch (error) {
      // After a disconnect, work for the client often fails.
      if (!this.#stream.closed) this.#report(error)
      return { retry: Math.max(retry, 1) }
    }
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

  // A stream that is ending may still have queued events, so that its client is checked too.
  get #isClosed(): boolean {
    return this.#stream._connection.isClosed
  }

  async #checkAll(): Promise<undefined> {
    do {
      this.#isRepeated = false
      const refusal = await this.#check()
      if (refusal) refuseStream(this.#stream, refusal, 'unauthorized')
    } while (this.#isRepeated && !this.#isClosed)
    // Reset in the same step, otherwise a call in between would get an earlier decision.
    this.#pending = undefined
  }

  // Checks up to a tenth earlier, so that the streams of a deploy are not all checked at the same time.
  #schedule(): void {
    const { reauthorize = 0 } = this.#settings
    if (!this.#isClosed) clock.schedule(this, expiresAt(clock.read(), reauthorize))
  }

  // Refuses the client after a value that is not a decision, because a missing `return` would otherwise admit all
  // clients.
  #apply(decision: unknown): Refusal | undefined {
    if (decision === true) return undefined
    if (decision === false) return { status: 403 }
    const checked = decisionOf(decision)
    if (!isGrant(checked)) return checked
    const { context, expiresAt } = checked
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

/** Returns the values of a refusal or a grant. Throws `SseError` `ERR_SSE_AUTHORIZE`. */
function decisionOf(decision: unknown): Refusal | Grant {
  const expected = 'true, false, { status }, { retry }, or { context, expiresAt } with times in ms'
  const message = `authorize must return ${expected}`
  if (!isPlain(decision)) throw new SseError('ERR_SSE_AUTHORIZE', `${message}, not ${describe(decision)}.`)
  try {
    return isGrant(decision) ? grantOf(decision) : refusalOf(decision)
  } catch (cause) {
    // Other objects, such as a database record of the user, or `{ error }`, are neither.
    throw new SseError('ERR_SSE_AUTHORIZE', `${message}. ${(cause as Error).message}`, { cause })
  }
}

// Rejects `{ context: undefined }` too, because a session that was not found would otherwise be admitted.
function grantOf(decision: Grant): Grant {
  const given = checkOptions(decision, GRANT_CHECKS)
  const required = 'context' in decision ? 'context' : 'expiresAt'
  checkValue(required, given[required], GRANT_CHECKS[required])
  return given
}

function isGrant(decision: object): decision is Grant {
  return 'context' in decision || 'expiresAt' in decision
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
