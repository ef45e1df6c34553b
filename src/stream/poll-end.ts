import { clock } from '../scheduler/clock.ts'
import type { LongPollSettings } from './options.ts'
import type { SseStream } from './stream.ts'

/** The response to a long poll ends with the event that reaches this many bytes. */
export const MAX_PAGE_BYTES = 256 * 1024

/** The connection of a long poll. */
export interface PollConnection {
  readonly isOpen: boolean
  readonly sentEvents: number
  readonly sentBytes: number
  /** How many replays are still to be sent. The page of a replay ends when it is full or complete. */
  readonly holds: number
  /** @internal Writes what is queued. */
  _flush(): void
  /** Ends the response at a time, unless it has ended before. */
  endBy(time: number): void
  /** Closes the stream, because the page is full. `expire` MUST follow. */
  closePage(): void
  /** Ends the response, unless it has ended. */
  expire(): void
}

/** Decides when the response to a long poll ends. */
export class PollEnd {
  readonly #settings: LongPollSettings
  readonly #connection: PollConnection
  // How many senders are within events that the client has to receive together.
  #wholes = 0

  constructor(settings: LongPollSettings, connection: PollConnection) {
    this.#settings = settings
    this.#connection = connection
  }

  /** Called after each write: ends a full page now, and one with live events soon. */
  onWritten(): void {
    const { sentEvents, sentBytes, holds } = this.#connection
    const { pageSize, collect } = this.#settings
    if (this.#wholes > 0) return
    if (sentEvents >= pageSize || sentBytes >= MAX_PAGE_BYTES) {
      // At once, because otherwise everything that is published in this turn is collected.
      this.#connection.closePage()
      this.#expireSoon()
    } else if (sentEvents > 0 && holds === 0) this.#connection.endBy(clock.now + collect)
  }

  /**
   * Called when the client was sent everything that it had missed: ends a page that has events, or that does not wait for
   * one.
   */
  onCaughtUp(): void {
    if (this.#wholes > 0 || !this.#connection.isOpen) return
    this.#connection._flush()
    if (this.#connection.sentEvents > 0 || this.#settings.hold === 0) this.#expireSoon()
  }

  /**
   * Lets a page end only after everything that is being sent. A snapshot has no ids, so that a client that received a part
   * of it would get it from the beginning again, and never the rest.
   */
  async whole<T>(sending: Promise<T>): Promise<T> {
    this.#wholes += 1
    try {
      return await sending
    } finally {
      this.#wholes -= 1
      if (this.#connection.isOpen) {
        this.#connection._flush()
        this.onWritten()
      }
    }
  }

  // Not at once, because the present flush goes on.
  #expireSoon(): void {
    queueMicrotask(() => this.#connection.expire())
  }
}

/** Lets a long poll end only after everything that is being sent, which a position follows. */
export function inOnePage<T>(stream: SseStream, sending: Promise<T>): Promise<T> {
  return stream._connection.poll?.whole(sending) ?? sending
}
