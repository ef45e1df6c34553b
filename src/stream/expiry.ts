import { mustBe } from '../errors.ts'
import { clock, type TimerTarget } from '../scheduler/clock.ts'
import type { CloseTarget } from './attachments.ts'
import type { StreamSettings } from './options.ts'
import { refuseStream } from './refusal.ts'
import type { SseStream } from './stream.ts'

// The clock of the machine may be set meanwhile, so that it is read at least this often, in ms.
const LONGEST_WAIT = 10_000

// 1973 in ms. Smaller numbers are times in seconds, such as the claim `exp` of a JWT.
const EARLIEST = 1e11

type ExpirySettings = Pick<StreamSettings, 'expiringEvent' | 'expiringNotice'>

/** Ends a stream when the rights of its client expire, and sends an event some time before. */
export class Expiry implements TimerTarget, CloseTarget {
  readonly #stream: SseStream
  readonly #settings: ExpirySettings
  #time = 0
  #isAnnounced = false

  constructor(stream: SseStream, settings: ExpirySettings) {
    this.#stream = stream
    this.#settings = settings
    stream._addCloseTarget(this)
  }

  /** When the rights expire, or undefined. */
  get date(): Date | undefined {
    return this.#time > 0 ? new Date(this.#time) : undefined
  }

  /** Sets when the rights expire. Throws `SseError` `ERR_SSE_OPTION`. */
  set(date: Date | number | undefined): void {
    const expected = date === undefined ? undefined : checkExpiresAt(date)
    if (expected) mustBe(expected, 'ERR_SSE_OPTION', 'expiresAt', date)
    const time = Number(date ?? 0)
    if (time === this.#time) return
    this.#time = time
    this.#isAnnounced = false
    if (time === 0) clock.cancel(this)
    else if (time <= Date.now()) this.#end()
    // Not at once, because the response headers may not be decided yet.
    else this.#schedule(time - this.#settings.expiringNotice - Date.now())
  }

  /** @internal */
  _onTimer(): void {
    const left = this.#time - Date.now()
    const { expiringEvent, expiringNotice } = this.#settings
    if (left <= 0) this.#end()
    else if (left > expiringNotice) this.#schedule(left - expiringNotice)
    else {
      if (!this.#isAnnounced && expiringEvent) this.#announce(expiringEvent, left)
      this.#schedule(left)
    }
  }

  /** @internal */
  _streamClosed(): void {
    clock.cancel(this)
  }

  #schedule(wait: number): void {
    // A stream that is ending may still have queued events.
    if (this.#stream._connection.isClosed) clock.cancel(this)
    else clock.schedule(this, clock.read() + Math.min(wait, LONGEST_WAIT))
  }

  // The clock of the client may be wrong, so that the event also has the remaining time.
  #announce(event: string, left: number): void {
    this.#isAnnounced = true
    this.#stream.send({ event, data: JSON.stringify({ expiresAt: this.date, expiresIn: left }) })
  }

  #end(): void {
    clock.cancel(this)
    refuseStream(this.#stream, { status: 401 }, 'unauthorized')
  }
}

/** Returns the expected type if a value is not a time of expiry, otherwise undefined. */
export function checkExpiresAt(value: unknown): string | undefined {
  const isTime = (value instanceof Date || typeof value === 'number') && Number(value) <= 8.64e15
  if (isTime && Number(value) >= EARLIEST) return undefined
  return 'a Date or a time in ms since 1970 (a JWT has seconds)'
}
