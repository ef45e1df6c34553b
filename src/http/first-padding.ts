import type { Frame } from '../event/frame.ts'
import { clock, TICK, type TimerTarget } from '../scheduler/clock.ts'
import type { CloseTarget } from '../stream/attachments.ts'
import type { SseStream } from '../stream/stream.ts'

/**
 * Sends a large comment soon after the response headers. The first write must stay small, because caddy holds back one
 * of 512 bytes.
 */
export class FirstPadding implements TimerTarget, CloseTarget {
  readonly #stream: SseStream
  readonly #padding: Frame

  constructor(stream: SseStream, padding: Frame) {
    this.#stream = stream
    this.#padding = padding
    this.#schedule()
    stream._addCloseTarget(this)
  }

  /** @internal */
  _onTimer(): void {
    // Written before that, it would send the response headers.
    if (this.#stream._connection.output.isBegun) this.#stream._enqueue(this.#padding)
    else this.#schedule()
  }

  /** @internal */
  _streamClosed(): void {
    clock.cancel(this)
  }

  #schedule(): void {
    clock.schedule(this, clock.now + TICK)
  }
}
