import { SseError } from '../errors.ts'
import type { Frame } from '../event/frame.ts'
import { turn } from '../scheduler/turn.ts'
import type { LogEntry } from '../stores/log-entry.ts'
import type { PositionSource } from '../stream/attachments.ts'
import type { ResumePoint } from '../stream/resume-point.ts'
import type { SseStream } from '../stream/stream.ts'
import type { Batch } from './batch.ts'
import type { Subscriber } from './broadcaster.ts'
import { CatchUp } from './catch-up.ts'
import type { CatchUpOwner } from './catch-up-owner.ts'
import { ChannelMap } from './channel-map.ts'
import { passes } from './filter.ts'
import { HiddenEvents } from './hidden-events.ts'
import type { HistoryRequest } from './history.ts'
import type { HubContext } from './hub-context.ts'
import type { PositionHolder } from './positions.ts'
import { RemovedChannels } from './removed-channels.ts'
import type { From, OwnOptions, SubscribeOptions } from './subscribe-options.ts'

/** One stream on the channels of one hub, with a single position in the store for all of them. */
export class Subscription implements Subscriber, CatchUpOwner, PositionHolder, PositionSource {
  readonly stream: SseStream
  readonly resumePoint: ResumePoint
  // Undefined once the client has received its history, because it may read the store again later.
  history: Map<SubscribeOptions, HistoryRequest> | undefined
  readonly #hub: HubContext
  readonly #channels = new ChannelMap()
  // Undefined while the subscription is live.
  #catchUp: CatchUp | undefined
  // The channels that may have entries which the client lacks, while a client that was live reads the store again. It
  // stays a subscriber of all channels, so that going live costs nothing for quiet channels.
  #unread: Set<string> | undefined
  // Channels removed from a live client that resumed. It misses no events of them if they are added again.
  #removedChannels: RemovedChannels | undefined
  // The position where a new client starts. Undefined once the client was sent its position.
  #startPosition: string | undefined
  // The last id that the client was sent on this connection.
  #sentId: string | undefined
  // The events after that id that a filter hid.
  #hidden: HiddenEvents | undefined
  // Whether a channel has, or had, a filter. Kept here, because each delivery reads it.
  #isFiltered = false
  // Whether the first channels have started, so that further channels are added late.
  #hasStarted = false
  #hasEnded = false

  constructor(stream: SseStream, hub: HubContext, resumePoint: ResumePoint) {
    this.stream = stream
    this.#hub = hub
    this.resumePoint = resumePoint
    stream._positions = this
    // Otherwise the client is live at once, because a new one has missed nothing.
    if (resumePoint !== 'new' || hub.store.ready) this.#startReading()
    // At the end of the turn, the client is sent its position, unless an event is sent in the same write.
    else {
      this.#startPosition = hub.store.position
      hub.broadcaster.announce(this)
    }
  }

  get channels(): readonly string[] {
    return this.#channels.channels
  }

  get optionsWithHooks(): Iterable<SubscribeOptions> {
    return this.#channels.optionsWithHooks
  }

  isSubscribed(channel: string): boolean {
    return !this.#hasEnded && this.#channels.get(channel) !== undefined
  }

  /** @internal */
  _channelsToRead(): readonly string[] {
    if (!this.#unread) return this.channels
    // Otherwise a page could end after a pending entry of a channel that it lacks.
    turn.fanOutNow()
    return [...this.#unread]
  }

  /**
   * Adds a subscription. Subscriptions added before the first `await` are resumed together. A later one starts at the
   * present. It adds a channel even if the stream has it, unless a present subscription passes all events that the new
   * one passes.
   */
  add(channels: readonly string[], options: OwnOptions): void {
    if (options.from !== undefined && options.from !== 'now') this.#addHistory(channels, options)
    this.#isFiltered ||= options.filter !== undefined
    const added = channels.filter((channel) => !this.#channels.covers(channel, options.filter))
    for (const channel of channels) this.#channels.add(channel, options)
    // A stream that still has to receive the current entry MUST NOT start after it.
    this.#hub.broadcaster.runAfterFanOut(() => this.#start(added, options))
  }

  /** Removes the subscription with these options, if it was not removed before. */
  remove(channels: readonly string[], options: OwnOptions): void {
    // Pending entries first, because their filters may change the subscription.
    turn.fanOutNow()
    if (options.isRemoved) return
    options.isRemoved = true
    this.#catchUp?.snapshots?.remove(options)
    for (const channel of channels)
      if (this.#channels.get(channel) === options) this.#remove(channel, options)
      else this.#channels.delete(channel, options)
    if (!channels.some((channel) => this.isSubscribed(channel))) this.history?.delete(options)
    if (this.#channels.size === 0) this.end()
  }

  end(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    if (this.stream._positions === this) this.stream._positions = undefined
    for (const channel of this.channels) this.#hub.broadcaster.remove(channel, this)
    this.#hub.onUnsubscribed(this.stream, this.channels, this.#catchUp?.resumePoint ?? 'new')
    this.#catchUp?.stop()
  }

  /** Reports a gap, because events may be lost, and continues from the store's position. */
  onLoss(): void {
    this.#catchUp?.readAll()
    if (this.#catchUp) return
    // Pending entries first, because they were published before. Their filters may add channels.
    turn.fanOutNow()
    if (!this.#hasEnded) (this.#catchUp ?? this.#readAgain()).reportGap()
  }

  deliver(batch: Batch, isTurnOver: boolean): void {
    if (this.#catchUp) batch.defer(this.#unread)
    else if (this.#isFiltered) this.#deliverVisible(batch, isTurnOver)
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
    // A long poll always has a cursor. Without one, each poll of a new client would miss the events published before
    // it.
    if (this.#sentId === id || !(this.#hub.positions.isEnabled || this.stream.format === 'json')) return
    this.#sentId = id
    const { _connection: connection } = this.stream
    const frame = this.#frameAt(id)
    if (connection.canBypassQueue) connection.write(frame)
    // Over the bound, because otherwise a full queue would drop an event for it, or close the stream.
    else if (connection.isOpen) connection.enqueueOverBound(frame)
  }

  /** @internal */
  _offerPosition(id: string): void {
    // A client that is behind is sent a later position, because positions would fill its queue.
    if (this.stream._hasRoomFor(this.#frameAt(id))) this._sendPosition(id)
  }

  /** @internal */
  _goLive(): void {
    this.#catchUp = undefined
    this.history = undefined
    if (!this.#unread) for (const channel of this.channels) this.#hub.broadcaster.add(channel, this)
    this.#unread = undefined
    if (this.#sentId === undefined) this._sendPosition(this.#hub.store.position)
  }

  /** @internal */
  _onTurnEnd(): void {
    this.#hasStarted = true
    this.#sendFirstPosition(this.#hub.store.position)
    this.stream._connection.poll?.onCaughtUp()
  }

  /** @internal */
  _beforeClose(): void {
    // Not the store's position, because a filter may close the stream while entries before that are being delivered.
    this.#sendFirstPosition(this.#startPosition)
  }

  /** @internal */
  _refreshPosition(position: string): void {
    if (!this.#isLive || this.#sentId === undefined) return
    if (this.#hub.positions.isUrgent(this.#sentId, this.channels)) this._offerPosition(position)
  }

  /** @internal */
  _onHidden(): void {
    const hidden = this.#hidden as HiddenEvents
    const { positions, store } = this.#hub
    const id = this.#isLive ? this.#sentId : undefined
    const interval = id === undefined ? 0 : positions.checkInterval(id, this.channels, hidden.count)
    if (interval === 0 && id !== undefined) this._offerPosition(store.position)
    hidden.checked(interval)
  }

  /** @internal */
  _heartbeat(): Frame | undefined {
    const { positions, store } = this.#hub
    // A position MUST NOT overtake entries before it.
    turn.fanOutNow()
    if (!this.#isLive || this.#sentId === undefined || this.stream.bufferedEvents > 0) return undefined
    if (!positions.isStale(this.#sentId, this.channels)) return undefined
    this.#sentId = store.position
    return this.#frameAt(store.position)
  }

  // After `close()`, events are dropped, and a position would overtake them.
  get #isLive(): boolean {
    return !this.#catchUp && !this.#hasEnded && !this.stream.closed
  }

  #frameAt(id: string): Frame {
    return this.#hub.positions.frameAt(id, this.stream._format)
  }

  #sendFirstPosition(id: string | undefined): void {
    if (id !== undefined && this.#sentId === undefined && this.#isLive) this._sendPosition(id)
    this.#startPosition = undefined
  }

  // The position of a client whose filter hides all events MUST NOT become too old.
  #deliverVisible(batch: Batch, isTurnOver: boolean): void {
    this.#hidden ??= new HiddenEvents()
    for (const entry of batch.entries) {
      if (this.passes(entry)) {
        this.#sentId = entry.id
        if (batch.length === 1) this.stream._deliver(batch, isTurnOver)
        else this.stream._enqueue(entry.frameIn(this.stream._format))
        this.#hidden.reset()
      } else this.#hidden.add(batch)
    }
    // At most once in a turn.
    if (this.#hidden.isDue()) this.#hub.positions.onHidden(this)
  }

  #addHistory(channels: readonly string[], options: OwnOptions): void {
    if (this.#hasStarted && typeof this.resumePoint !== 'object') {
      const message = 'from applies to the first channels of a stream: subscribe to all of them at once.'
      throw new SseError('ERR_SSE_OPTION', message)
    }
    this.history ??= new Map()
    this.history.set(options, { channels, from: options.from as From })
    for (const channel of channels) this.#unread?.add(channel)
  }

  // During a fan-out, channels may be removed before they are started.
  #start(channels: readonly string[], options: OwnOptions): void {
    turn.fanOutNow()
    if (this.#hasEnded) return
    if (!this.#hasStarted && this.#catchUp && !this.#unread) {
      // A client that resumes has the state that a snapshot returns, unless there is a gap.
      if (this.resumePoint === 'new') this.#catchUp.addSnapshot(options)
      return
    }
    const added = channels.filter((channel) => this.isSubscribed(channel))
    const missable = this.#missable(added, options)
    if (!this.#catchUp && (missable.length > 0 || this.#needsReading(options))) this.#readAgain()
    if (!this.#catchUp) this.history = undefined
    else {
      for (const channel of added) this.#unread?.add(channel)
      this.#catchUp.addChannels(added, missable)
    }
    if (!this.#catchUp || this.#unread) for (const channel of added) this.#hub.broadcaster.add(channel, this)
    this.#catchUp?.addSnapshot(options)
  }

  #needsReading({ snapshot }: SubscribeOptions): boolean {
    return (
      snapshot !== undefined || (!this.#hasStarted && this.history !== undefined && this.history.size > 0)
    )
  }

  #startReading(): void {
    const { resumePoint } = this
    const position = typeof resumePoint === 'object' ? resumePoint.id : undefined
    const catchUp = new CatchUp(this, this.#hub, position)
    if (resumePoint === 'unreadable') catchUp.reportGap()
    // An earlier subscription of the stream found a gap that was not reported yet.
    else if (resumePoint !== 'new' && resumePoint.gapEnd !== undefined) catchUp.reportGap(resumePoint.gapEnd)
    this.#catchUp = catchUp
    // After the calls of this tick, so that all their channels are resumed together.
    this.#schedule(catchUp, resumePoint !== 'new')
  }

  // The caller MUST have delivered pending entries, because the position is after them.
  #readAgain(): CatchUp {
    const catchUp = new CatchUp(this, this.#hub)
    this.#catchUp = catchUp
    this.#unread = new Set([...(this.history?.values() ?? [])].flatMap(({ channels }) => channels))
    this.#schedule(catchUp, false)
    return catchUp
  }

  #schedule(catchUp: CatchUp, isResuming: boolean): void {
    this.stream._connection.holds += 1
    queueMicrotask(async () => {
      this.#hasStarted = true
      if (this.isCatchingUp(catchUp)) await catchUp.run(isResuming)
      this.stream._release()
    })
  }

  // Returns the channels of which a client that resumed may have missed events. None with a snapshot, which contains
  // the missed events.
  #missable(added: readonly string[], { snapshot }: SubscribeOptions): readonly string[] {
    if (typeof this.resumePoint !== 'object' || snapshot) return []
    return this.#removedChannels?.without(added) ?? added
  }

  #remove(channel: string, options: SubscribeOptions): void {
    // `remove` delivers pending entries first, while the filter of the channel still applies.
    this.#hub.broadcaster.remove(channel, this)
    this.#channels.delete(channel, options)
    this.#unread?.delete(channel)
    this.#catchUp?.removeChannel(channel)
    if (this.#catchUp || typeof this.resumePoint !== 'object') return
    this.#removedChannels ??= new RemovedChannels()
    this.#removedChannels.add(channel)
  }
}
