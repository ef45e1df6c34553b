import { between, type Check, checkValue, decided, MAX_COUNT } from '../check-options.ts'
import { Condition } from '../condition.ts'
import type { ReceivedEvent } from './event-parser.ts'
import type { ReceivedStream } from './received.ts'
import type { OpenResponse } from './targets/open-response.ts'
import { isTimeout, startTimeout, withTimeout } from './timeout.ts'
import { WaitError } from './wait-error.ts'

/** Selects an event: by its name, or by a function that returns true for it. */
export type EventMatcher = string | ((event: ReceivedEvent) => boolean)

export interface WaitOptions {
  /** Longest time to wait, in ms. Default: the client's `timeout`. */
  timeout?: number | undefined
}

const checkMatcher: Check = (matcher) =>
  typeof matcher === 'string' || typeof matcher === 'function' ? undefined : 'an event name or a function'

/** How a body ended. `end`: completely. `cut`: the connection broke. `closed`: this client was closed. */
export type BodyEnd = 'end' | 'cut' | 'closed'

const WHEN_ENDED: Readonly<Record<BodyEnd, string>> = {
  end: 'before the stream ended',
  cut: 'before the connection was cut',
  closed: 'before the client was closed',
}

/**
 * A test client of one event stream, created by `openEvents`. It reads the stream immediately and keeps each event
 * until a test takes it, so that no event is missed between two calls.
 */
export class EventsClient implements AsyncIterable<ReceivedEvent>, AsyncDisposable {
  /** Status of the response. */
  readonly status: number
  /** Headers of the response. */
  readonly headers: Headers
  readonly #response: OpenResponse
  readonly #received: ReceivedStream
  readonly #timeout: number
  readonly #changed = new Condition()
  #eventsTaken = 0
  #commentsTaken = 0
  #end: BodyEnd | undefined
  #closed: Promise<void> | undefined

  /** @internal Does not read until `resume()` is called. */
  constructor(response: OpenResponse, received: ReceivedStream, timeout: number) {
    this.status = response.status
    this.headers = response.headers
    this.#response = response
    this.#received = received
    this.#timeout = timeout
    const { body } = response
    body.pause()
    body.on('data', (bytes: Uint8Array) => this.#onData(bytes))
    body.once('end', () => this.#onEnd('end'))
    body.once('error', () => this.#onEnd('cut'))
    body.once('close', () => this.#onEnd('cut'))
    // A body that has already ended emits nothing more.
    if (body.readableEnded) this.#onEnd('end')
    else if (body.destroyed) this.#onEnd('cut')
  }

  /** All events received so far, including the ones already taken. */
  get events(): readonly ReceivedEvent[] {
    return this.#received.events
  }

  /**
   * Text of all comments received so far, which is empty for a heartbeat. Excludes the comments of the opening bytes:
   * an empty one, and the interval of heartbeats.
   */
  get comments(): readonly string[] {
    return this.#received.comments
  }

  /** The id that a browser would reconnect with now. Empty if there is none. */
  get lastEventId(): string {
    return this.#received.lastEventId
  }

  /** The last reconnection time received, in ms. Undefined if none was received. */
  get retry(): number | undefined {
    return this.#received.retry
  }

  /**
   * Takes the next event, or the next one that matches; events before it are skipped. Rejects with a `WaitError` if it
   * does not arrive within the timeout or before the stream ends.
   *
   * Rejects with `SseError` `ERR_SSE_OPTION` for an invalid matcher or timeout.
   */
  async next(matcher?: EventMatcher, options?: WaitOptions): Promise<ReceivedEvent> {
    const take = this.#taker(matcher)
    if (typeof matcher === 'string') return this.#until(take, `event ${JSON.stringify(matcher)}`, options)
    return this.#until(take, matcher ? 'matching event' : 'event', options)
  }

  /** Takes the next `count` events; the timeout covers all of them together. Rejects as `next` does. */
  async take(count: number, options?: WaitOptions): Promise<ReceivedEvent[]> {
    checkValue('count', count, between(0, MAX_COUNT))
    const { events } = this.#received
    const take = () => {
      const start = this.#eventsTaken
      if (events.length < start + count) return undefined
      this.#eventsTaken += count
      return events.slice(start, start + count)
    }
    return this.#until(take, `${count} events`, options)
  }

  /** Takes the next comment and resolves with its text, which is empty for a heartbeat. Rejects as `next` does. */
  comment(options?: WaitOptions): Promise<string> {
    const { comments } = this.#received
    const take = () => (comments.length > this.#commentsTaken ? comments[this.#commentsTaken++] : undefined)
    return this.#until(take, 'comment', options)
  }

  /** Waits for the end of the body and resolves with how it ended. Rejects with a `WaitError` after the timeout. */
  ended(options?: WaitOptions): Promise<BodyEnd> {
    return this.#until(() => this.#end, 'end', options)
  }

  /**
   * Takes events until the stream ends. Throws a `WaitError` if the connection is cut, or if an event takes longer than
   * the client's `timeout`. Breaking out of the loop does not close the client.
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

  /** Stops reading. The network buffers fill up, and then the server has to queue events for this client. */
  pause(): void {
    this.#response.body.pause()
  }

  /** Starts reading again. */
  resume(): void {
    this.#response.body.resume()
  }

  /**
   * Closes the connection, as a browser does when its page is closed. Resolves when the connection is closed, and the
   * server too if `openEvents` started it and this was its last client. Rejects with a `WaitError` after the timeout.
   */
  async close(): Promise<void> {
    this.#onEnd('closed')
    this.#closed ??= this.#response.close()
    const message = `Not closed within ${this.#timeout} ms. Something else keeps the server open.`
    await withTimeout(this.#timeout, this.#closed, () => new WaitError(message, this.events))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #onData(bytes: Uint8Array): void {
    this.#received.feed(bytes)
    this.#changed.notify()
  }

  #onEnd(end: BodyEnd): void {
    this.#end ??= end
    this.#changed.notify()
  }

  #taker(matcher: EventMatcher = () => true): () => ReceivedEvent | undefined {
    checkValue('matcher', matcher, checkMatcher)
    const matches = typeof matcher === 'string' ? ({ event }: ReceivedEvent) => event === matcher : matcher
    const { events } = this.#received
    // Each event is tested once, because a matcher may have side effects.
    let next = 0
    return () => {
      next = Math.max(next, this.#eventsTaken)
      while (next < events.length) {
        const event = events[next++]
        if (!event || !decided('A matcher', matches(event))) continue
        this.#eventsTaken = next
        return event
      }
      return undefined
    }
  }

  /** Resolves with the first value other than undefined that `find` returns. `what` names it in the error. */
  async #until<T>(
    find: () => T | undefined,
    what: string,
    { timeout = this.#timeout }: WaitOptions = {},
  ): Promise<T> {
    checkValue('timeout', timeout, isTimeout)
    let found: T | undefined
    let isTimedOut = false
    const cancel = startTimeout(timeout, () => {
      isTimedOut = true
      this.#changed.notify()
    })
    try {
      await this.#changed.until(() => {
        found = find()
        return found !== undefined || isTimedOut || this.#end !== undefined
      })
    } finally {
      cancel()
    }
    if (found !== undefined) return found
    throw this.#missing(what, this.#end ? WHEN_ENDED[this.#end] : `within ${timeout} ms`)
  }

  #missing(what: string, when: string): WaitError {
    const type = this.headers.get('content-type') ?? 'no content type'
    const isPaused = this.#response.body.isPaused() ? ' The client is paused.' : ''
    const summary = `No ${what} ${when}: status ${this.status}, ${type}.${isPaused}`
    return new WaitError(`${summary} ${this.#received}`, this.events)
  }
}
