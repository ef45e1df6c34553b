import { type Flushable, turn } from '../scheduler/turn.ts'
import type { Overflow } from './backlog.ts'
import { overflowChannel } from './diagnostics.ts'
import { emitSafely } from './emit-safely.ts'
import type { SseStream } from './stream.ts'

/** Reports the number of dropped events, at most once in a turn of the event loop. */
export class DropReport implements Flushable {
  readonly #stream: SseStream
  readonly #policy: Overflow
  #dropped = 0
  #isScheduled = false

  constructor(stream: SseStream, policy: Overflow) {
    this.#stream = stream
    this.#policy = policy
  }

  add(dropped: number): void {
    this.#dropped += dropped
    if (!this.#isScheduled) turn.scheduleFlush(this)
    this.#isScheduled = true
  }

  /** @internal */
  _flush(): void {
    const dropped = this.#dropped
    this.#dropped = 0
    // Events that a listener sends and that are dropped are part of the next report. Otherwise, such a listener would
    // cause a report in each turn.
    this.#isScheduled = true
    if (dropped > 0) {
      publishOverflow(this.#stream, this.#policy, dropped)
      emitSafely(this.#stream, 'drop', dropped)
    }
    this.#isScheduled = false
  }
}

/** Reports a full queue to the diagnostics. `dropped`: how many events were dropped; 0 if the stream is closed. */
export function publishOverflow(stream: SseStream, policy: Overflow, dropped: number): void {
  if (overflowChannel.hasSubscribers) overflowChannel.publish({ stream, policy, dropped })
}
