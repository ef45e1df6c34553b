import type { AnyEvents, EventMap } from '../event/event.ts'
import { turn } from '../scheduler/turn.ts'
import type { EventStore } from '../stores/event-store.ts'
import type { LogEntry } from '../stores/log-entry.ts'
import type { OnGap } from '../stream/gap.ts'
import type { ResumePoint } from '../stream/resume-point.ts'
import type { SseStream } from '../stream/stream.ts'
import type { Batch, Broadcaster, Subscriber } from './broadcaster.ts'
import { CatchUp, type CatchUpOwner } from './catch-up.ts'
import { ChannelMap } from './channel-map.ts'
import { ask, type Filter } from './filter.ts'

export interface SubscribeOptions<Events extends EventMap = AnyEvents> {
  /** Called when the client has missed events. What it returns is sent first, instead of the gap event. */
  onGap?: OnGap | undefined
  /** Returns whether the client may see an event. Applies to replayed and to live events. Default: all. */
  filter?: Filter<Events> | undefined
}

/** The parts of a hub that its subscriptions use. */
export interface HubContext {
  readonly store: EventStore
  readonly broadcaster: Broadcaster
  readonly gapEvent: string | false
  /** Called at the end of a subscription, with the point where another one of the stream resumes. */
  onUnsubscribed(stream: SseStream, resumePoint: ResumePoint): void
}

/** One stream on the channels of one hub, with a single position in the store for all of them. */
export class Subscription implements Subscriber, CatchUpOwner {
  readonly stream: SseStream
  readonly resumePoint: ResumePoint
  readonly #hub: HubContext
  readonly #channels = new ChannelMap()
  // Undefined while the subscription is live.
  #catchUp: CatchUp | undefined
  // Channels removed from a live client that resumed. It misses nothing of them if they are added again.
  #removedChannels: Set<string> | undefined
  // The filters of a stream that never had one are not looked up.
  #hasFilter = false
  #hasStarted = true
  #hasEnded = false

  constructor(stream: SseStream, hub: HubContext, resumePoint: ResumePoint) {
    this.stream = stream
    this.#hub = hub
    this.resumePoint = resumePoint
    // Otherwise the client is live at once, because a new one has missed nothing.
    if (resumePoint !== 'new' || hub.store.ready) this.#startReading()
  }

  get channels(): readonly string[] {
    return this.#channels.channels
  }

  get gapHooks(): Iterable<OnGap | undefined> {
    return new Set(this.channels.map((channel) => this.#channels.get(channel)?.onGap))
  }

  /** Adds channels. Those added before the first `await` are resumed together; a later one starts at the present. */
  add(channels: readonly string[], options: SubscribeOptions): void {
    const added = channels.filter((channel) => !this.#channels.get(channel))
    for (const channel of channels) this.#channels.set(channel, options)
    this.#hasFilter ||= options.filter !== undefined
    // A stream that still has to receive the current entry must not start behind it.
    this.#hub.broadcaster.runAfterFanOut(() => this.#start(added))
  }

  /** Removes channels, as far as they are still subscribed to with these options. */
  remove(channels: readonly string[], options: SubscribeOptions): void {
    // Pending entries first, because their filters may change the subscription.
    turn.fanOutNow()
    for (const channel of channels) if (this.#channels.get(channel) === options) this.#remove(channel)
    if (this.#channels.size === 0) this.end()
  }

  end(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    for (const channel of this.channels) this.#hub.broadcaster.remove(channel, this)
    this.#hub.onUnsubscribed(this.stream, this.#catchUp?.resumePoint ?? 'new')
  }

  /** Reports a gap, because events may be lost, and continues from the store's position. */
  onLoss(): void {
    if (!this.#catchUp && !this.#hasEnded) this.#readAgain().reportGap()
  }

  deliver(batch: Batch, isTurnOver: boolean): void {
    if (!this.#hasFilter) this.stream._deliver(batch, isTurnOver)
    else for (const entry of batch.entries) if (this.passes(entry)) this.stream._enqueue(entry.frame)
  }

  passes(entry: LogEntry): boolean {
    const options = this.#channels.get(entry.channel)
    // The channel may have been removed since the page was read.
    if (!options?.filter) return options !== undefined
    try {
      return ask(options.filter, entry.event, entry.channel)
    } catch (error) {
      // An event that the filter cannot judge is not shown. One client's failure does not stop a broadcast.
      this.stream.destroy(error)
      return false
    }
  }

  isCatchingUp(catchUp: CatchUp): boolean {
    return this.#catchUp === catchUp && !this.#hasEnded
  }

  /** @internal */
  _goLive(): void {
    this.#catchUp = undefined
    for (const channel of this.channels) this.#hub.broadcaster.add(channel, this)
  }

  // During a fan-out, channels may be removed before they are started.
  #start(channels: readonly string[]): void {
    turn.fanOutNow()
    if (this.#hasEnded || !this.#hasStarted) return
    const added = channels.filter((channel) => this.#channels.get(channel))
    const missable = this.#missable(added)
    if (this.#catchUp) this.#catchUp.addChannels(missable)
    else if (missable.length > 0) this.#readAgain(missable)
    else for (const channel of added) this.#hub.broadcaster.add(channel, this)
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
    this.#hasStarted = false
    // After the calls of this tick, so that all their channels are resumed together.
    queueMicrotask(() => {
      this.#hasStarted = true
      this.#run(catchUp, resumePoint !== 'new')
    })
  }

  #readAgain(added: readonly string[] = []): CatchUp {
    const catchUp = new CatchUp(this, this.#hub.store, this.#hub.gapEvent)
    catchUp.addChannels(added)
    // First, because `remove` delivers pending entries, and a channel that their filter adds must not go live.
    this.#catchUp = catchUp
    for (const channel of this.channels) this.#hub.broadcaster.remove(channel, this)
    queueMicrotask(() => this.#run(catchUp, false))
    return catchUp
  }

  #run(catchUp: CatchUp, isResuming: boolean): void {
    if (this.isCatchingUp(catchUp)) void catchUp.run(isResuming)
  }

  // Returns the channels of which a client that resumed may have missed something.
  #missable(added: readonly string[]): readonly string[] {
    if (typeof this.resumePoint !== 'object') return []
    const missable = added.filter((channel) => !this.#removedChannels?.has(channel))
    for (const channel of added) this.#removedChannels?.delete(channel)
    return missable
  }

  #remove(channel: string): void {
    // Pending entries are delivered before, and filtered.
    this.#hub.broadcaster.remove(channel, this)
    this.#channels.delete(channel)
    if (this.#catchUp || typeof this.resumePoint !== 'object') return
    this.#removedChannels ??= new Set()
    this.#removedChannels.add(channel)
  }
}
