import { SseError } from '../errors.ts'
import type { Frame } from '../event/frame.ts'
import { turn } from '../scheduler/turn.ts'
import type { EventStore } from '../stores/event-store.ts'
import type { EntryOwner, LogEntry } from '../stores/log-entry.ts'
import type { PositionSource } from '../stream/attachments.ts'
import type { ResumePoint } from '../stream/resume-point.ts'
import type { SseStream } from '../stream/stream.ts'
import type { Batch, Broadcaster, Subscriber } from './broadcaster.ts'
import { CatchUp, type CatchUpOwner } from './catch-up.ts'
import { ChannelMap } from './channel-map.ts'
import type { ErrorReporter } from './error-reporter.ts'
import { passes } from './filter.ts'
import type { HistoryRequest } from './history.ts'
import type { PositionHolder, PositionKeeper } from './positions.ts'
import type { SubscribeOptions } from './subscribe-options.ts'

/** The parts of a hub that its subscriptions use. */
export interface HubContext {
  readonly store: EventStore
  readonly broadcaster: Broadcaster
  readonly positions: PositionKeeper
  readonly errors: ErrorReporter
  readonly owner: EntryOwner
  readonly gapEvent: string | false
  /** Called at the end of a subscription, with the point where another one of the stream resumes. */
  onUnsubscribed(stream: SseStream, resumePoint: ResumePoint): void
}

// A client is checked for a stale position after this many events that its filter hid.
const CHECKED_EVENTS = 8

const NO_HISTORY: readonly HistoryRequest[] = []

/** One stream on the channels of one hub, with a single position in the store for all of them. */
export class Subscription implements Subscriber, CatchUpOwner, PositionHolder, PositionSource {
  readonly stream: SseStream
  readonly resumePoint: ResumePoint
  history = NO_HISTORY
  readonly #hub: HubContext
  readonly #channels = new ChannelMap()
  // Undefined while the subscription is live.
  #catchUp: CatchUp | undefined
  // Channels removed from a live client that resumed. It misses nothing of them if they are added again.
  #removedChannels: Set<string> | undefined
  // Where a new client starts, until it is sent its position.
  #startPosition: string | undefined
  // The last id that the client was sent on this connection.
  #sentId: string | undefined
  #hiddenEvents = 0
  // The filters of a stream that never had one are not looked up.
  #hasFilter = false
  // Whether channels that are added now are added late, because the first ones have started.
  #hasStarted = false
  #hasEnded = false

  constructor(stream: SseStream, hub: HubContext, resumePoint: ResumePoint) {
    this.stream = stream
    this.#hub = hub
    this.resumePoint = resumePoint
    stream._positions = this
    // Otherwise the client is live at once, because a new one has missed nothing.
    if (resumePoint !== 'new' || hub.store.ready) this.#startReading()
    // At the end of the turn it is sent its position, unless an event is sent in the same write.
    else {
      this.#startPosition = hub.store.position
      hub.broadcaster.announce(this)
    }
  }

  get channels(): readonly string[] {
    return this.#channels.channels
  }

  get options(): Iterable<SubscribeOptions> {
    return new Set(this.channels.flatMap((channel) => this.#channels.all(channel)))
  }

  /**
   * Adds a subscription. Those added before the first `await` are resumed together; a later one starts at the present. It
   * adds a channel even if the stream has it, unless the present subscriptions pass all events that the new one passes.
   */
  add(channels: readonly string[], options: SubscribeOptions): void {
    if (options.from !== undefined && options.from !== 'now') this.#addHistory(channels, options.from)
    const added = channels.filter((channel) => !this.#channels.covers(channel, options.filter))
    for (const channel of channels) this.#channels.add(channel, options)
    this.#hasFilter ||= options.filter !== undefined
    // A stream that still has to receive the current entry must not start behind it.
    this.#hub.broadcaster.runAfterFanOut(() => this.#start(added, options))
  }

  /** Removes the subscription with these options, if it was not removed before. */
  remove(channels: readonly string[], options: SubscribeOptions): void {
    // Pending entries first, because their filters may change the subscription.
    turn.fanOutNow()
    for (const channel of channels)
      if (this.#channels.get(channel) === options) this.#remove(channel, options)
      else this.#channels.delete(channel, options)
    if (this.#channels.size === 0) this.end()
  }

  end(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    if (this.stream._positions === this) this.stream._positions = undefined
    for (const channel of this.channels) this.#hub.broadcaster.remove(channel, this)
    this.#hub.onUnsubscribed(this.stream, this.#catchUp?.resumePoint ?? 'new')
    this.#catchUp?.stop()
  }

  /** Reports a gap, because events may be lost, and continues from the store's position. */
  onLoss(): void {
    if (!this.#catchUp && !this.#hasEnded) this.#readAgain().reportGap()
  }

  deliver(batch: Batch, isTurnOver: boolean): void {
    if (this.#hasFilter) this.#deliverVisible(batch, isTurnOver)
    else {
      this.#sentId = batch.lastId
      this.stream._deliver(batch, isTurnOver)
    }
  }

  /** @internal */
  _adopt(entry: LogEntry): void {
    entry._adopt(this.#hub.owner)
  }

  passes(entry: LogEntry): boolean {
    const subscriptions = this.#channels.get(entry.channel)
    // The channel may have been removed since the page was read.
    return subscriptions !== undefined && passes(subscriptions, entry, this.stream, this.#hub.errors)
  }

  isCatchingUp(catchUp: CatchUp): boolean {
    return this.#catchUp === catchUp && !this.#hasEnded
  }

  /** @internal */
  _onSent(id: string): void {
    this.#sentId = id
  }

  /** @internal */
  _sendPosition(id: string): void {
    if (!this.#hub.positions.isEnabled || this.#sentId === id) return
    this.#sentId = id
    const { _connection: connection } = this.stream
    const frame = this.#hub.positions.frameAt(id)
    if (connection.canBypassQueue) connection.write(frame)
    // Over the bound, because otherwise a full queue would drop an event for it, or close the stream.
    else if (connection.isOpen) connection.enqueueOverBound(frame)
  }

  /** @internal */
  _offerPosition(id: string): void {
    // A client that is behind is sent a later one, because positions would fill its queue.
    if (this.stream._hasRoomFor(this.#hub.positions.frameAt(id))) this._sendPosition(id)
  }

  /** @internal */
  _goLive(): void {
    this.#catchUp = undefined
    for (const channel of this.channels) this.#hub.broadcaster.add(channel, this)
    if (this.#sentId === undefined) this._sendPosition(this.#hub.store.position)
  }

  /** @internal */
  _onTurnEnd(): void {
    this.#hasStarted = true
    this.#sendFirstPosition(this.#hub.store.position)
  }

  /** @internal */
  _beforeClose(): void {
    // Not the store's position, because a filter may close the stream while entries before that are being delivered.
    this.#sendFirstPosition(this.#startPosition)
  }

  /** @internal */
  _refreshPosition(position: string, channels = this.channels): void {
    if (!this.#isLive || this.#sentId === undefined) return
    if (this.#hub.positions.isUrgent(this.#sentId, channels)) this._offerPosition(position)
  }

  /** @internal */
  _heartbeat(): Frame | undefined {
    const { positions, store } = this.#hub
    // A position MUST NOT overtake entries before it.
    turn.fanOutNow()
    if (!this.#isLive || this.#sentId === undefined || this.stream.bufferedEvents > 0) return undefined
    if (!positions.isStale(this.#sentId, this.channels)) return undefined
    this.#sentId = store.position
    return positions.frameAt(store.position)
  }

  // After `close()`, events are dropped, and a position would overtake them.
  get #isLive(): boolean {
    return !this.#catchUp && !this.#hasEnded && !this.stream.closed
  }

  #sendFirstPosition(id: string | undefined): void {
    if (id !== undefined && this.#sentId === undefined && this.#isLive) this._sendPosition(id)
    this.#startPosition = undefined
  }

  // The position of a client whose filter hides everything must not become too old.
  #deliverVisible(batch: Batch, isTurnOver: boolean): void {
    const isAlone = batch.entries.length === 1
    for (const entry of batch.entries) {
      if (this.passes(entry)) {
        this.#sentId = entry.id
        if (isAlone) this.stream._deliver(batch, isTurnOver)
        else this.stream._enqueue(entry.frame)
      } else this.#hiddenEvents += 1
    }
    if (this.#hiddenEvents < CHECKED_EVENTS) return
    this.#hiddenEvents = 0
    this._refreshPosition(batch.lastId, [batch.channel])
  }

  #addHistory(channels: readonly string[], from: Exclude<SubscribeOptions['from'], undefined>): void {
    if (this.#hasStarted && typeof this.resumePoint !== 'object') {
      const message = 'from applies to the first channels of a stream: subscribe to all of them at once.'
      throw new SseError('ERR_SSE_OPTION', message)
    }
    this.history = [...this.history, { channels, from }]
  }

  // During a fan-out, channels may be removed before they are started.
  #start(channels: readonly string[], options: SubscribeOptions): void {
    turn.fanOutNow()
    if (this.#hasEnded) return
    const isReading = this.#catchUp !== undefined
    if (!this.#hasStarted && isReading) {
      this.#addFirst(options)
      return
    }
    const added = channels.filter((channel) => this.#channels.get(channel))
    const missable = this.#missable(added, options)
    if (this.#catchUp) this.#catchUp.addChannels(missable)
    else if (missable.length > 0 || this.#needsReading(options)) this.#readAgain(missable)
    else for (const channel of added) this.#hub.broadcaster.add(channel, this)
    if (options.snapshot) this.#catchUp?.addSnapshot(options.snapshot)
  }

  // A client that resumes has the state that a snapshot returns, unless there is a gap.
  #addFirst(options: SubscribeOptions): void {
    if (this.resumePoint === 'new' && options.snapshot) this.#catchUp?.addSnapshot(options.snapshot)
  }

  #needsReading({ snapshot }: SubscribeOptions): boolean {
    return snapshot !== undefined || (!this.#hasStarted && this.history.length > 0)
  }

  #startReading(): void {
    const { store, gapEvent } = this.#hub
    const { resumePoint } = this
    const position = typeof resumePoint === 'object' ? resumePoint.id : store.position
    const catchUp = new CatchUp(this, store, gapEvent, position)
    if (resumePoint === 'unreadable') catchUp.reportGap()
    // An earlier subscription of the stream found a gap that was not reported yet.
    else if (resumePoint !== 'new' && resumePoint.gapEnd !== undefined) catchUp.reportGap(resumePoint.gapEnd)
    this.#catchUp = catchUp
    // After the calls of this tick, so that all their channels are resumed together.
    this.#schedule(catchUp, resumePoint !== 'new')
  }

  #readAgain(added: readonly string[] = []): CatchUp {
    const catchUp = new CatchUp(this, this.#hub.store, this.#hub.gapEvent)
    catchUp.addChannels(added)
    // First, because `remove` delivers pending entries, and a channel that their filter adds must not go live.
    this.#catchUp = catchUp
    for (const channel of this.channels) this.#hub.broadcaster.remove(channel, this)
    this.#schedule(catchUp, false)
    return catchUp
  }

  #schedule(catchUp: CatchUp, isResuming: boolean): void {
    this.stream._hold()
    queueMicrotask(async () => {
      this.#hasStarted = true
      if (this.isCatchingUp(catchUp)) await catchUp.run(isResuming)
      this.stream._release()
    })
  }

  // Returns the channels of which a client that resumed may have missed something. A snapshot contains what it missed.
  #missable(added: readonly string[], { snapshot }: SubscribeOptions): readonly string[] {
    if (typeof this.resumePoint !== 'object' || snapshot) return []
    const missable = added.filter((channel) => !this.#removedChannels?.has(channel))
    for (const channel of added) this.#removedChannels?.delete(channel)
    return missable
  }

  #remove(channel: string, options: SubscribeOptions): void {
    // Pending entries are delivered before, and filtered.
    this.#hub.broadcaster.remove(channel, this)
    this.#channels.delete(channel, options)
    if (this.#catchUp || typeof this.resumePoint !== 'object') return
    this.#removedChannels ??= new Set()
    this.#removedChannels.add(channel)
  }
}
