import type { Frame } from '../event/frame.ts'
import { clock } from '../scheduler/clock.ts'
import { type Backlog, OVERFLOW } from './backlog.ts'
import type { CloseReason } from './close-reason.ts'
import { beginChannel, conflateChannel, discardChannel } from './diagnostics.ts'
import type { SseStream } from './stream.ts'

/** Receives the notifications of its connection. It is the stream, or a test double. */
export interface ConnectionOwner {
  /** @internal All queued frames were written, after the client had been behind for `lag` ms. */
  _caughtUp(lag: number): void
  /** @internal A full queue dropped this many events. `OVERFLOW`: its policy does not allow dropping. */
  _overflowed(dropped: number): void
  /** @internal The maximum duration has passed. */
  _expired(): void
  /** @internal A limit ends the page of a long poll. `_expired` follows. */
  _pageFull(): void
  /** @internal Returns a frame to be sent instead of a heartbeat, or undefined. */
  _heartbeat(): Frame | undefined
  /** @internal Nothing can be written any more. Called once. */
  _onClosed(reason: CloseReason, error?: unknown): void
}

/** Counts the events of a connection and reports them to the diagnostics, so that every event is accounted for. */
export abstract class CountingConnection {
  readonly openedAt = clock.read()
  sentEvents = 0
  sentBytes = 0
  protected readonly owner: ConnectionOwner
  /** The time at which the client fell behind, in ms on the clock. Undefined if it is not behind. */
  protected lagSince: number | undefined

  constructor(owner: ConnectionOwner) {
    this.owner = owner
  }

  /** The part of the report of a closed stream that the connection counts. Times are in ms. */
  get summary() {
    const { sentEvents: events, sentBytes: bytes, lagSince } = this
    const lag = lagSince === undefined ? 0 : clock.now - lagSince
    return { duration: clock.now - this.openedAt, events, bytes, lag }
  }

  /** Reports events that are never written on this connection. Returns false, like a queue that drops a frame. */
  discard(events: number): false {
    if (events > 0 && discardChannel.hasSubscribers) discardChannel.publish({ stream: this.#stream, events })
    return false
  }

  /** @internal The response headers were sent. */
  _begun(): void {
    if (!beginChannel.hasSubscribers) return
    beginChannel.publish({ stream: this.#stream, duration: clock.read() - this.openedAt })
  }

  /** Queues a frame. Returns false if a frame was dropped. */
  protected offer(queue: Backlog, frame: Frame, isFull: boolean): boolean {
    const before = queue.events + frame.events
    const dropped = queue.offer(frame, isFull)
    // A queue may conflate before it drops or overflows.
    const lost = before - queue.events
    if (dropped === OVERFLOW) {
      this.owner._overflowed(OVERFLOW)
      this.discard(lost)
    } else {
      // A comment that was dropped is no event.
      const events = Math.min(dropped, lost)
      if (events > 0) this.owner._overflowed(events)
      this.#reportConflated(lost - events)
    }
    return dropped === 0
  }

  /**
   * Removes the oldest frames of a queue that may be written at `now`, as one frame. A rate limit may conflate the
   * others.
   */
  protected takeFrom(queue: Backlog, now: number): Frame | undefined {
    const before = queue.events
    const batch = queue.take(now)
    this.#reportConflated(before - queue.events - (batch?.events ?? 0))
    return batch
  }

  #reportConflated(events: number): void {
    if (events > 0 && conflateChannel.hasSubscribers)
      conflateChannel.publish({ stream: this.#stream, events })
  }

  get #stream(): SseStream {
    return this.owner as SseStream
  }
}
