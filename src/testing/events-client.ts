import { between, type Check, checkOptions } from '../check-options.ts'
import { Condition } from '../condition.ts'
import type { ReceivedEvent } from './event-parser.ts'
import { ReceivedStream } from './received.ts'
import type { OpenResponse } from './targets/open-response.ts'
import { isTimeout, startTimeout, withTimeout } from './timeout.ts'
import { WaitError } from './wait-error.ts'

/** Which event is waited for: one of this name, or one that satisfies a condition. */
export type EventMatcher = string | ((event: ReceivedEvent) => boolean)

export interface WaitOptions {
  /** How long to wait at most, in ms. Default: that of the client. */
  timeout?: number | undefined
}

const checkWanted: Check = (wanted) =>
  typeof wanted === 'string' || typeof wanted === 'function' ? undefined : 'a name or a condition'

/** How a body ended: as it should, cut in the middle, or closed by this client. */
export type BodyEnd = 'end' | 'cut' | 'closed'

const END_IN_WORDS: Readonly<Record<BodyEnd, string>> = {
  end: 'before the stream ended',
  cut: 'before the connection was cut',
  closed: 'before the client was closed',
}

/**
 * One client of a stream. It reads what comes at once and hands it out one by one, so that nothing is lost that came
 * before it was asked for. Made by `openEvents`.
 */
export class EventsClient implements AsyncIterable<ReceivedEvent>, AsyncDisposable {
  readonly status: number
  readonly headers: Headers
  readonly #response: OpenResponse
  readonly #received: ReceivedStream
  readonly #timeout: number
  readonly #waiters = new Condition()
  #eventsTaken = 0
  #commentsTaken = 0
  #end: BodyEnd | undefined
  #closed: Promise<void> | undefined

  /** @internal Reads nothing yet. */
  constructor(response: OpenResponse, lastEventId: string, timeout: number) {
    this.status = response.status
    this.headers = response.headers
    this.#response = response
    this.#received = new ReceivedStream(lastEventId)
    this.#timeout = timeout
    const { body } = response
    body.pause()
    body.on('data', (bytes: Uint8Array) => this.#read(bytes))
    body.once('end', () => this.#onEnd('end'))
    body.once('error', () => this.#onEnd('cut'))
    body.once('close', () => this.#onEnd('cut'))
    // It may have come to its end before.
    if (body.readableEnded) this.#onEnd('end')
    else if (body.destroyed) this.#onEnd('cut')
  }

  /** All events so far, taken or not. */
  get events(): readonly ReceivedEvent[] {
    return this.#received.events
  }

  /** The text of all comments so far. A heartbeat is empty. Without the empty one that a stream may open with. */
  get comments(): readonly string[] {
    return this.#received.comments
  }

  /** The id with which a browser would come back now. Empty when it has none. */
  get lastEventId(): string {
    return this.#received.lastEventId
  }

  /** When a browser would come back, in ms, as it was told last. */
  get retry(): number | undefined {
    return this.#received.retry
  }

  /**
   * Takes the next event, or the next one that is wanted: those before it are passed over. Rejects with a `WaitError`
   * when it does not come in time, or the stream ends first. So do all that wait here.
   */
  async next(wanted?: EventMatcher, options?: WaitOptions): Promise<ReceivedEvent> {
    const name = typeof wanted === 'string' ? ` ${JSON.stringify(wanted)}` : wanted ? ' that is wanted' : ''
    return this.#until(this.#taker(wanted), `event${name}`, options)
  }

  /** Takes the next events, so many of them, within one limit of time. */
  async take(count: number, options?: WaitOptions): Promise<ReceivedEvent[]> {
    checkOptions({ count }, { count: between(0, Number.MAX_SAFE_INTEGER) })
    const { events } = this.#received
    const take = () => {
      const start = this.#eventsTaken
      if (events.length < start + count) return undefined
      this.#eventsTaken += count
      return events.slice(start, start + count)
    }
    return this.#until(take, `${count} events`, options)
  }

  /** Takes the next comment, and resolves with its text: that of a heartbeat is empty. */
  comment(options?: WaitOptions): Promise<string> {
    const { comments } = this.#received
    const take = () => (comments.length > this.#commentsTaken ? comments[this.#commentsTaken++] : undefined)
    return this.#until(take, 'comment', options)
  }

  /** Resolves with how the body ended, once it has. */
  ended(options?: WaitOptions): Promise<BodyEnd> {
    return this.#until(() => this.#end, 'end', options)
  }

  /**
   * The events to the end of the stream. Each is waited for no longer than the limit; a stream that is cut is an
   * error. Leaving the loop does not close the client.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<ReceivedEvent, void, undefined> {
    const take = this.#taker()
    const takeOrEnd = () => take() ?? (this.#end === 'cut' ? undefined : this.#end)
    for (;;) {
      const event = await this.#until(takeOrEnd, 'event')
      if (typeof event === 'string') return
      yield event
    }
  }

  /** Stops reading: what the server sends fills the buffers on the way, and then waits with the server. */
  pause(): void {
    this.#response.body.pause()
  }

  /** Reads on. */
  resume(): void {
    this.#response.body.resume()
  }

  /** Leaves, as a client that closes its connection. Resolves when all that was opened for it is closed. */
  async close(): Promise<void> {
    this.#onEnd('closed')
    this.#closed ??= this.#response.close()
    await withTimeout(
      this.#timeout,
      this.#closed,
      () =>
        new WaitError(`Not closed within ${this.#timeout} ms: somebody else holds the server.`, this.events),
    )
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #read(bytes: Uint8Array): void {
    this.#received.feed(bytes)
    this.#waiters.notify()
  }

  #onEnd(end: BodyEnd): void {
    this.#end ??= end
    this.#waiters.notify()
  }

  #taker(wanted: EventMatcher = () => true): () => ReceivedEvent | undefined {
    checkOptions({ wanted }, { wanted: checkWanted })
    const isWanted = typeof wanted === 'string' ? ({ event }: ReceivedEvent) => event === wanted : wanted
    const { events } = this.#received
    // No event is looked at twice.
    let next = 0
    return () => {
      next = Math.max(next, this.#eventsTaken)
      while (next < events.length) {
        const event = events[next++]
        if (!event || !isWanted(event)) continue
        this.#eventsTaken = next
        return event
      }
      return undefined
    }
  }

  /** Waits until a look finds what is there to be found. */
  async #until<T>(
    look: () => T | undefined,
    what: string,
    { timeout = this.#timeout }: WaitOptions = {},
  ): Promise<T> {
    checkOptions({ timeout }, { timeout: isTimeout })
    let found: T | undefined
    let isLate = false
    const cancel = startTimeout(timeout, () => {
      isLate = true
      this.#waiters.notify()
    })
    try {
      await this.#waiters.until(() => {
        found = look()
        return found !== undefined || isLate || this.#end !== undefined
      })
    } finally {
      cancel()
    }
    if (found !== undefined) return found
    throw this.#missing(what, this.#end ? END_IN_WORDS[this.#end] : `within ${timeout} ms`)
  }

  #missing(what: string, when: string): WaitError {
    const type = this.headers.get('content-type') ?? 'no content type'
    const isPaused = this.#response.body.isPaused() ? ' The client is paused.' : ''
    const head = `No ${what} ${when}: status ${this.status}, ${type}.${isPaused}`
    return new WaitError(`${head} ${this.#received}`, this.events)
  }
}
