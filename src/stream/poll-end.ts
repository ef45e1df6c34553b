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
  // The number of senders whose events the client MUST receive in one page.
  #wholes = 0

  constructor(settings: LongPollSettings, connection: PollConnection) {
    this.#settings = settings
    this.#connection = connection
  }

  /** Called after each write. Ends a full page at once, and a page with live events after `collect`. */
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
   * Called at the end of the turn of a subscription and after the last replay. Ends a page that has events, or that
   * does not wait for one, unless a replay is still to be sent.
   */
  onCaughtUp(): void {
    const { holds, isOpen } = this.#connection
    if (this.#wholes > 0 || holds > 0 || !isOpen) return
    this.#connection._flush()
    if (this.#connection.sentEvents > 0 || this.#settings.hold === 0) this.#expireSoon()
  }

  /**
   * Delays the end of a page until `sending` is settled. A snapshot has no ids, so that a client that received only its
   * beginning would get the beginning again, and never the rest.
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

  // Not at once, because the present flush is not finished.
  #expireSoon(): void {
    queueMicrotask(() => this.#connection.expire())
  }
}

/** Delays the end of a long poll until `sending` is settled. A position follows. */
export function inOnePage<T>(stream: SseStream, sending: Promise<T>): Promise<T> {
  return stream._connection.poll?.whole(sending) ?? sending
}
