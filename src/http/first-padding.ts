import type { Frame } from '../event/frame.ts'
import { clock, TICK, type TimerTarget } from '../scheduler/clock.ts'
import type { CloseTarget } from '../stream/attachments.ts'
import type { SseStream } from '../stream/stream.ts'

/** Sends a large comment soon after the first bytes, which must stay small: caddy holds back a first write of 512 bytes. */
export class FirstPadding implements TimerTarget, CloseTarget {
  readonly #stream: SseStream
  readonly #padding: Frame

  constructor(stream: SseStream, padding: Frame) {
    this.#stream = stream
    this.#padding = padding
    clock.schedule(this, clock.now + TICK)
    stream._addCloseTarget(this)
  }

  /** @internal */
  _onTimer(): void {
    this.#stream._enqueue(this.#padding)
  }

  /** @internal */
  _streamClosed(): void {
    clock.cancel(this)
  }
}
