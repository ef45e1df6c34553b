import { clock, type TimerTarget } from '../scheduler/clock.ts'
import { type Flushable, turn } from '../scheduler/turn.ts'
import type { CloseTarget } from '../stream/attachments.ts'
import type { SseStream } from '../stream/stream.ts'

/** Sends the response headers of a stream at the end of the turn, or up to `delay` ms later. */
export class HeaderDelay implements TimerTarget, CloseTarget, Flushable {
  readonly #stream: SseStream
  #isWaiting = false

  constructor(stream: SseStream, delay = 0) {
    this.#stream = stream
    if (delay > 0) this.#wait(delay)
    else turn.scheduleFlush(this)
  }

  /** Ends the delay, so that the headers are sent at the end of this turn, unless the stream was abandoned. */
  end(): void {
    if (!this.#isWaiting) return
    this.#isWaiting = false
    clock.cancel(this)
    turn.scheduleFlush(this)
  }

  #wait(delay: number): void {
    this.#isWaiting = true
    clock.schedule(this, clock.now + delay)
    this.#stream._addCloseTarget(this)
  }

  /** @internal */
  _flush(): void {
    this.#stream._connection.begin()
  }

  /** @internal */
  _onTimer(): void {
    this.end()
  }

  /** @internal */
  _streamClosed(): void {
    this.end()
  }
}
