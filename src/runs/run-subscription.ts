import { isPromise, type MaybePromise } from '../event/source.ts'
import { endStream } from '../hub/end-stream.ts'
import { ReplayPace } from '../hub/replay-pace.ts'
import type { ReplayedClient } from '../hub/replayed-client.ts'
import { SourceSender } from '../hub/source-sender.ts'
import { clock } from '../scheduler/clock.ts'
import type { RunPosition } from '../stores/run-store.ts'
import { replayChannel } from '../stream/diagnostics.ts'
import { type Gap, type OnGap, reportGap } from '../stream/gap.ts'
import { inOnePage } from '../stream/poll-end.ts'
import type { SseStream } from '../stream/stream.ts'
import type { LiveBatch } from './live-batch.ts'
import type { RunEntry } from './run-entry.ts'
import { eventIdOf } from './run-id.ts'
import type { LiveSubscriber, RunLog } from './run-log.ts'
import type { Removed, RunPage } from './run-page.ts'

/** How a subscriber is notified of events that it has missed. */
export interface GapOptions {
  readonly onGap?: OnGap | undefined
  readonly gapEvent: string | false
  /** Called with an error because of which the stream is closed. */
  readonly onError: (error: unknown) => void
}

// The cost of a page in the turn of a replay, in bytes.
const PAGE_COST = 4 * 1024

const START: RunPosition = { number: 0 }

/**
 * The subscription of one stream to one run. It reads the log at the pace of the client and holds only a position. A
 * slow client is therefore never closed for being behind. The stream ends after the last event of the run.
 */
export class RunSubscription implements ReplayedClient, LiveSubscriber {
  readonly stream: SseStream
  readonly log: RunLog
  readonly #options: GapOptions
  readonly #pace = new ReplayPace(this)
  readonly #sender = new SourceSender(this, this.#pace)
  readonly #reads = new AbortController()
  #position: RunPosition
  // The reason of a gap that the client has not been notified of. Undefined: there is none.
  #gapReason: Gap['reason'] | undefined
  #isCatchingUp = false
  #hasEnded = false
  // The number of events that replays have sent.
  #replayed = 0

  /** Starts after a position, or at the beginning of the run. */
  constructor(
    stream: SseStream,
    log: RunLog,
    options: GapOptions,
    position: RunPosition = START,
    gap?: Gap['reason'],
  ) {
    this.stream = stream
    this.log = log
    this.#options = options
    this.#position = position
    this.#gapReason = gap
  }

  /** Sends the missed events, and then the events that are published. */
  start(): void {
    void this.#catchUp(true)
  }

  get isActive(): boolean {
    return !this.#hasEnded && this.stream._connection.isOpen
  }

  deliver(batch: LiveBatch, isTurnOver: boolean): void {
    if (batch.last <= this.#position.number || !this.isActive) return
    const isNext = batch.first === this.#position.number + 1
    if (!isNext || !this.stream._isIdle) return void this.#catchUp()
    this.#position = batch.position
    this.stream._deliver(batch, isTurnOver)
    if (batch.end) this.#finish()
  }

  onRemoved(): void {
    void this.#catchUp()
  }

  end(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.log.remove(this)
    this.#reads.abort()
    this.#sender.stop()
    this.#pace.cancel()
    this.stream._connection.notify()
  }

  /** `isResuming`: the diagnostics report the replay. */
  async #catchUp(isResuming = false): Promise<void> {
    if (this.#isCatchingUp || this.#hasEnded) return
    const { stream } = this
    const startedAt = clock.now
    let error: unknown
    this.#isCatchingUp = true
    this.log.remove(this)
    stream._connection.holds += 1
    try {
      while (this.isActive && this.#isCatchingUp) {
        const step = this.#step()
        // After a step without a promise, the loop must not wait. Once it is live, `deliver` may start another loop.
        if (isPromise(step)) await step
      }
    } catch (failure) {
      // After the end of the subscription, a failure has no effect.
      if (this.isActive) {
        error = failure
        endStream(stream, failure, this.#options.onError)
      }
    }
    this.#pace.cancel()
    stream._release()
    if (!isResuming || stream._resumePoint === 'new' || !replayChannel.hasSubscribers) return
    const result = { duration: clock.now - startedAt, complete: !this.#isCatchingUp, error }
    replayChannel.publish({ stream, events: this.#replayed, resumed: true, ...result })
  }

  // Synchronous if possible, because the promises of thousands of waiting replays occupy memory.
  #step(): MaybePromise<void> {
    if (this.#gapReason) return inOnePage(this.stream, this.#sendGap(this.#gapReason))
    const { position, isRemoved, end } = this.log
    if (this.#position.number >= position && (end || !isRemoved)) return this.#goLive()
    if (!this.#pace.begin()) return this.#pace.untilReadable()
    const page = this.log.read(this.#position, this.#pace.room, this.#reads.signal)
    return isPromise(page) ? this.#awaitPage(page) : this.#sendPage(page)
  }

  async #awaitPage(pending: Promise<RunPage | Removed>): Promise<void> {
    this.#pace.cancel()
    await this.#sendPage(await pending)
  }

  #sendPage(page: RunPage | Removed): MaybePromise<void> {
    if (!this.isActive) return
    if (page === 'removed') return this.#endRemoved()
    const [first] = page.entries
    if (page.isIncomplete && first) {
      this.#pace.cancel()
      this.#gapReason = 'evicted'
      this.#position = { number: first.first - 1 }
      return
    }
    return this.#sendEntries(page.entries)
  }

  #sendEntries(entries: readonly RunEntry[]): MaybePromise<void> {
    let [sent, cost] = [0, PAGE_COST]
    for (const entry of entries) {
      const frame = entry.frameIn(this.stream._format)
      if (!this.isActive || !this.stream._hasRoomFor(frame)) break
      this.stream._connection.enqueue(frame)
      this.#position = entry.position
      sent += 1
      cost += entry.size
    }
    this.#replayed += sent
    this.#pace.end(cost)
    const newest = entries.at(-1)
    if (!this.isActive) return
    if (sent === entries.length) return newest?.end ? this.#finish() : undefined
    const rest = entries.slice(sent)
    const bytes = rest.reduce((sum, { size }) => sum + size, 0)
    return this.#pace.untilIdleHolding(bytes).then(() => this.#sendEntries(rest))
  }

  // Called in the tick in which the log returned no further entries, so that no entry is missed.
  #goLive(): void {
    this.#isCatchingUp = false
    this.#pace.cancel()
    if (this.log.end) this.#finish()
    else this.log.add(this)
  }

  #finish(): void {
    this.end()
    this.#isCatchingUp = false
    this.stream.close()
  }

  async #endRemoved(): Promise<void> {
    this.#pace.cancel()
    // If the store has lost events, the client receives the run from the beginning after it has reconnected.
    this.#position = START
    await inOnePage(this.stream, this.#sendGap('unknown'))
    if (this.isActive) this.#finish()
  }

  async #sendGap(reason: Gap['reason']): Promise<void> {
    const { stream } = this
    const { onGap, gapEvent } = this.#options
    this.#pace.cancel()
    await reportGap(
      stream,
      { lastEventId: stream.lastEventId, reason },
      {
        hooks: [onGap],
        gapEvent,
        id: eventIdOf(this.log.epoch, this.#position),
        sendAll: (snapshot) => this.#sender.sendAll(snapshot),
        send: (event) => this.#sender.sendAll([event]),
      },
    )
    this.#gapReason = undefined
  }
}
