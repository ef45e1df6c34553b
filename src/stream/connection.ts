import { Condition } from '../condition.ts'
import type { Frame } from '../event/frame.ts'
import { READ_AHEAD_BYTES } from '../event/source.ts'
import { clock } from '../scheduler/clock.ts'
import { type Flushable, turn } from '../scheduler/turn.ts'
import type { Transport } from '../transports/transport.ts'
import { Backlog } from './backlog.ts'
import type { CloseReason } from './close-reason.ts'
import { countedBytes } from './counted-bytes.ts'
import { type ConnectionOwner, CountingConnection } from './counting-connection.ts'
import { type DeadlineOwner, Deadlines } from './deadlines.ts'
import { descriptorWatch } from './descriptor-watch.ts'
import type { StreamSettings } from './options.ts'
import { type OpenTransport, Output, type OutputOwner } from './output.ts'
import { type PollConnection, PollEnd } from './poll-end.ts'

/** The connection to one client: queued frames, their way to the transport, and the deadlines. */
export class Connection
  extends CountingConnection
  implements OutputOwner, DeadlineOwner, PollConnection, Flushable
{
  /** Undefined unless the stream is a long poll. */
  readonly poll: PollEnd | undefined
  /** How many replays are still to be sent. The end of the stream follows them. */
  holds = 0
  /** The bytes that a replay has read and not queued yet. */
  waitingBytes = 0
  readonly settings: StreamSettings
  readonly output: Output
  readonly #deadlines: Deadlines
  // Created with the first frame, because most idle streams never queue one.
  #queue: Backlog | undefined
  // The frames sent during a replay, which follow it. Undefined while there is no replay.
  #liveQueue: Backlog | undefined
  #state: 'open' | 'ending' | 'closed' = 'open'
  #isFlushScheduled = false
  // The size of the frame that was written last.
  #lastSize = 0
  #condition: Condition | undefined

  constructor(settings: StreamSettings, owner: ConnectionOwner) {
    super(owner)
    this.settings = settings
    if (settings.poll) this.poll = new PollEnd(settings.poll, this)
    this.output = new Output(this)
    this.#deadlines = new Deadlines(this)
  }

  /**
   * Starts with an open transport, or with one that `begin` or the first write opens. With `isHeld`, nothing is written
   * until `unhold`, not even a heartbeat, because the client may be refused.
   */
  start(transport: Transport | OpenTransport, isHeld = false): void {
    descriptorWatch.onOpen()
    this.output.start(transport)
    this.#probe()
    this.output.isFull = isHeld
    if (!isHeld) this.#deadlines.schedule()
  }

  /** Writes the frames queued since `start`. Deadlines count from now on. */
  unhold(): void {
    if (this.isClosed) return
    // `send` returned false for these frames.
    if (this.bufferedEvents > 0) this.lagSince = clock.now
    this.output.isFull = false
    this.#deadlines.restart()
    this.#scheduleFlush()
  }

  /** Sends the response headers once their status is decided, unless they were sent. */
  begin(): void {
    this.output.beginWhenDecided()
    this.#probe()
  }

  /** Releases the response to the framework, unless its headers were sent. */
  abandon(): void {
    this.output.abandon()
  }

  get bufferedBytes(): number {
    const queued = (this.#queue?.bytes ?? 0) + (this.#liveQueue?.bytes ?? 0)
    return this.output.unwrittenBytes + this.waitingBytes + queued
  }

  get bufferedEvents(): number {
    return (this.#queue?.length ?? 0) + (this.#liveQueue?.length ?? 0)
  }

  /** Whether nothing is queued and the kernel has accepted everything. */
  get isIdle(): boolean {
    return !this.#queue?.length && !this.output.isFull
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  get isClosed(): boolean {
    return this.#state === 'closed'
  }

  /** Whether a frame may be written past the queue, because the queue is empty and the output has room. */
  get canBypassQueue(): boolean {
    const { isFull, isBegun } = this.output
    const { flushInterval, rateLimit } = this.settings
    const isImmediate = flushInterval === 0 && !rateLimit
    const isWaiting = this.#isFlushScheduled || isFull || this.#liveQueue
    return isImmediate && isBegun && !isWaiting && this.isOpen
  }

  /** Whether a sender that can wait should send this frame now, instead of after everything queued was written. */
  hasRoomFor(frame: Frame): boolean {
    const queue = this.#backlog
    return this.isIdle || (queue.length > 0 && queue.bytes < READ_AHEAD_BYTES && queue.fits(frame))
  }

  /**
   * Queues a frame until the end of the turn, until there is room, or until the end of the replay. Returns false if the
   * sender should wait, or if an event was dropped.
   */
  enqueue(frame: Frame): boolean {
    if (!this.#liveQueue) return this.enqueueNext(frame)
    this.offer(this.#liveQueue, frame, true)
    this.lagSince ??= clock.now
    return false
  }

  /** Queues a frame of a replay, which precedes the frames sent meanwhile. Returns the same as `enqueue`. */
  enqueueNext(frame: Frame): boolean {
    // A burst over the bound is not a lag while the kernel accepts it.
    if (!this.output.isFull && !this.#backlog.fits(frame)) this.#writeQueued()
    // A middleware's own `write` may have thrown.
    if (this.isClosed) return this.discard(frame.events)
    const { isFull } = this.output
    const isAccepted = this.offer(this.#backlog, frame, isFull)
    // `send` returns false, also for a dropped event, so `drain` MUST follow.
    if (isFull || !isAccepted) this.lagSince ??= clock.now
    if (!isFull) this.#scheduleFlush()
    return !isFull && isAccepted
  }

  /** Queues a frame that is sent in any case, over the bound if necessary. */
  enqueueOverBound(frame: Frame): void {
    const queue = this.#liveQueue ?? this.#backlog
    queue.pushOverBound(frame)
    this.#scheduleFlush()
  }

  /** Holds back the frames sent from now on, until `endReplay`. */
  beginReplay(): void {
    // With the same rate limit, because the client would otherwise get a further burst after the replay.
    this.#liveQueue = new Backlog(this.settings, this.#backlog.rateLimiter)
  }

  /** Continues with the frames held back. The replay MUST have been written. */
  endReplay(): void {
    this.#queue = this.#liveQueue
    this.#liveQueue = undefined
    this.#scheduleFlush()
  }

  /** Resolves when a condition is true that draining or closing the connection can change. */
  waitUntil(isReady: () => boolean): Promise<void> {
    this.#condition ??= new Condition()
    return this.#condition.until(isReady)
  }

  /** Checks all awaited conditions again. */
  notify(): void {
    this.#condition?.notify()
  }

  /** Writes a frame. `canBypassQueue` MUST be true, or the frame was taken from the queue. */
  write(frame: Frame): void {
    if (this.isClosed) return
    this.sentEvents += frame.events
    this.sentBytes += frame.size
    this.#lastSize = frame.size
    try {
      const hasRoom = this.output.write(frame)
      this.poll?.onWritten()
      if (hasRoom) return
      this.lagSince ??= clock.now
      this.#deadlines.schedule()
    } catch (error) {
      // A middleware's own `write` may throw.
      this.destroy('error', error)
    }
  }

  /** Ends the body after the last replay if the stream is closing, and a long poll that has events. */
  release(isClosing: boolean): void {
    this.holds -= 1
    if (isClosing && this.holds === 0) this.end()
    else this.poll?.onCaughtUp()
  }

  /** Ends the body after everything queued and `last`. Frames held back by a replay that was stopped are dropped. */
  end(last?: Frame): void {
    if (!this.isOpen) return
    this.#state = 'ending'
    this.discard(this.#liveQueue?.events ?? 0)
    this.#liveQueue = undefined
    if (last) this.#backlog.pushOverBound(last)
    this._flush()
    this.notify()
  }

  /** Reports at a time that the stream has expired, unless it has ended before. */
  endBy(time: number): void {
    this.#deadlines.expireBy(time)
  }

  /** Closes the stream of a long poll, whose page is full. `expire` MUST follow. */
  closePage(): void {
    this.owner._pageFull()
  }

  /** Ends the connection as its maximum duration does. */
  expire(): void {
    if (this.isOpen) this.owner._expired()
  }

  /** Cuts the connection at once. */
  destroy(reason: CloseReason, error?: unknown): void {
    if (this.isClosed) return
    this.output.destroy()
    this.#finish(reason, error)
  }

  /** @internal */
  _flush(): void {
    if (this.#writeQueued()) this.#onDrained()
  }

  /** @internal */
  _drained(): void {
    this._flush()
    // While the output was full, the timer was set to the stall deadline.
    this.#deadlines.schedule()
  }

  /** @internal */
  _lost(error?: unknown): void {
    if (error) this.destroy('error', error)
    else this.#finish('client')
  }

  /** @internal */
  _stalled(): void {
    this.destroy('stalled')
  }

  /** @internal */
  _silent(): void {
    this.output.probe()
    const { format, padding } = this.settings
    const position = this.owner._heartbeat()
    this.write(position ?? padding ?? format.heartbeat)
    if (position && padding) this.enqueue(padding)
  }

  /** @internal */
  _expired(): void {
    this.owner._expired()
  }

  // Without a heartbeat, only the kernel detects a lost client.
  #probe(): void {
    if (this.settings.heartbeat === 0) this.output.probe()
  }

  get #backlog(): Backlog {
    this.#queue ??= new Backlog(this.settings)
    // Not set for `#liveQueue`, because a large event of a replay MUST NOT make the stream overflow.
    this.#queue.unwrittenBytes = countedBytes(this, this.#lastSize)
    return this.#queue
  }

  /**
   * Writes the queued frames. Returns whether nothing is queued any more. Emits nothing, because a listener of `drain`
   * could send an event before the one that is being sent.
   */
  #writeQueued(): boolean {
    this.#isFlushScheduled = false
    // Frames that a middleware sends meanwhile, and the end of the body, follow the frame that is being written.
    if (this.output.isBusy) return this.#scheduleFlush()
    this.#deadlines.cancelFlush()
    while (!this.output.isFull && this.#queue?.length) {
      // A rate limit counts exact time, because events may be sent several times between two ticks.
      const batch = this.takeFrom(this.#queue, this.settings.rateLimit ? clock.read() : clock.now)
      if (!batch) return this.#scheduleFlush(this.#queue.nextAt())
      this.write(batch)
    }
    if (this.output.isFull) this.#queue?.settle()
    return this.isIdle && !this.isClosed
  }

  /** Schedules a flush at a time. Default: after `flushInterval`, or at the end of the turn. Returns false. */
  #scheduleFlush(at?: number): false {
    if (this.#isFlushScheduled) return false
    this.#isFlushScheduled = true
    const { flushInterval } = this.settings
    const time = at ?? (flushInterval > 0 ? clock.now + flushInterval : undefined)
    if (time === undefined) turn.scheduleFlush(this)
    else this.#deadlines.flushAt(time)
    return false
  }

  #onDrained(): void {
    const since = this.lagSince
    // The frames that a replay holds back are still queued.
    if (since !== undefined && !this.#liveQueue) {
      this.lagSince = undefined
      this.owner._caughtUp(clock.now - since)
    }
    this.notify()
    // This happens once, because the output is full after its end.
    if (this.#state !== 'ending' || !this.isIdle) return
    try {
      this.output.end()
      this.#deadlines.schedule()
    } catch (error) {
      this.destroy('error', error)
    }
  }

  #finish(reason: CloseReason, error?: unknown): void {
    if (this.isClosed) return
    this.#state = 'closed'
    const left = (this.#queue?.events ?? 0) + (this.#liveQueue?.events ?? 0)
    this.#queue = undefined
    this.#liveQueue = undefined
    this.#deadlines.cancel()
    this.owner._onClosed(reason, error)
    this.discard(left)
    this.notify()
  }
}
