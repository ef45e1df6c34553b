import { EventEmitter } from 'node:events'
import { checkOptions, isBoolean, isFunction, isTime, oneOf } from '../check-options.ts'
import { SseError } from '../errors.ts'
import type { AnyEvents, EventMap, Given, SseEvent } from '../event/event.ts'
import type { Serialize } from '../formats/event-fields.ts'
import { type ShutdownOptions, type ShutdownSettings, shutdownSettings } from '../lifecycle/graceful-close.ts'
import { StreamSet } from '../lifecycle/stream-set.ts'
import { outsideRequests } from '../scheduler/context.ts'
import { turn } from '../scheduler/turn.ts'
import type { EventStore, StoreState } from '../stores/event-store.ts'
import type { Publication } from '../stores/log-entry.ts'
import { memoryStore } from '../stores/memory/memory-store.ts'
import { checkStream } from '../stream/check-stream.ts'
import { refuseStream } from '../stream/refusal.ts'
import type { ResumePoint } from '../stream/resume-point.ts'
import type { SseStream } from '../stream/stream.ts'
import { Broadcaster } from './broadcaster.ts'
import type { Channel, ChannelOptions, PublishOptions } from './channel.ts'
import { ChannelAudience } from './channel-audience.ts'
import type { ChannelFeedSettings, SourceRunner } from './channel-feed.ts'
import { checkName, namesOf } from './channel-name.ts'
import { entryOwnerOf } from './entry-owner.ts'
import { ErrorReporter, type HubErrorContext } from './error-reporter.ts'
import { checkStart } from './history.ts'
import type { HubContext } from './hub-context.ts'
import { type CloseStreamsOptions, HubControl, type StreamFilter } from './hub-control.ts'
import { checkStore, HUB_CHECKS, HUB_HINTS, type HubOptions } from './hub-options.ts'
import { PositionKeeper } from './positions.ts'
import { publicationOf } from './publication-of.ts'
import { PublishPromise } from './publish-promise.ts'
import { reportedAppend } from './publish-report.ts'
import { ownOptions, SUBSCRIBE_CHECKS, type SubscribeOptions } from './subscribe-options.ts'
import { Subscription } from './subscription.ts'

export interface HubEventMap {
  /** A channel has got its first subscriber in this process. */
  active: [channel: string]
  /** A channel has lost its last subscriber in this process. */
  idle: [channel: string]
  /**
   * An unawaited publish was rejected, the source of a channel failed, or a filter failed and hid an event. Or a read
   * of the store, a snapshot or `onGap` failed and closed a stream; errors of the store are then emitted once in 10 s.
   * Without a listener, the first error of each kind is printed.
   */
  error: [error: unknown, context: HubErrorContext]
}

const CHANNEL_CHECKS = {
  conflate: isBoolean,
  cache: oneOf('public'),
  source: isFunction,
  linger: isTime,
}
// In ms.
const LINGER = 5_000
// The reconnection time of a client above `maxStreams`, in ms.
const FULL = { retry: 10_000 }

/** One ordered log of events, the channels named in it, and the streams subscribed to them. */
export class Hub extends EventEmitter<HubEventMap> {
  /** @internal */
  readonly _store: EventStore
  readonly #serialize: Serialize
  readonly #broadcaster = new Broadcaster(this)
  readonly #context: HubContext
  readonly #runs: SourceRunner | undefined
  readonly #maxStreams: number
  readonly #streams = new StreamSet<Subscription>((subscription) => subscription.end())
  readonly #audience = new ChannelAudience((event, channel) => this.#notify(event, channel))
  // The resume points of open streams that were unsubscribed from all channels.
  readonly #resumePoints = new WeakMap<SseStream, ResumePoint>()
  readonly #control = new HubControl(this.#streams, (publication) => this.#append(publication))
  #closed: Promise<void> | undefined
  #isShutDown = false
  #droppedPublishes = 0
  readonly #errors = new ErrorReporter(this)

  /** Throws `SseError` `ERR_SSE_OPTION`. */
  constructor(options: HubOptions = {}) {
    super()
    if (!checkStore(options)) {
      const message = 'Pass the store as an option, for example new Hub({ store }).'
      throw new SseError('ERR_SSE_OPTION', message)
    }
    checkOptions(options, HUB_CHECKS, HUB_HINTS)
    this._store = options.store ?? memoryStore()
    this.#serialize = options.serialize ?? JSON.stringify
    this.#runs = options.runs
    this.#maxStreams = options.maxStreams ?? Number.POSITIVE_INFINITY
    const positions = new PositionKeeper(this._store, options.positions ?? 'event', () =>
      this.#streams.values(),
    )
    const owner = entryOwnerOf(options.deserialize, this.#errors)
    this.#context = {
      store: this._store,
      broadcaster: this.#broadcaster,
      positions,
      errors: this.#errors,
      owner,
      gapEvent: options.gapEvent ?? 'gap',
      onUnsubscribed: (...subscription) => this.#onUnsubscribed(...subscription),
    }
    this._store.open({
      onEntry: (entry) => {
        if (this.#control.isControl(entry)) this.#control.onEntry(entry)
        else {
          entry._adopt(owner)
          this.#broadcaster.broadcast(entry)
        }
        if (this.#streams.size > 0) positions.onEntry()
      },
      onStored: (entry) => this.#control.onStored(entry),
      onLoss: () => outsideRequests(() => this.#onLoss()),
    })
  }

  /**
   * Returns a channel by its name. Its events can be typed, for example `hub.channel<{ price: Quote }>('prices')`.
   *
   * Throws `SseError` `ERR_SSE_CHANNEL` or `ERR_SSE_OPTION`.
   */
  channel<Events extends EventMap = AnyEvents>(
    name: string,
    options: ChannelOptions<Given<Events>> = {},
  ): Channel<Events> {
    checkName(name)
    checkOptions(options, CHANNEL_CHECKS)
    const { conflate = false, cache } = options
    if (conflate && cache)
      throw new SseError(
        'ERR_SSE_OPTION',
        'A channel with conflate cannot be cached, because its history changes.',
      )
    const source = this.#sourceOf(name, options)
    const addSource = () => source && this.#audience.addSource(name, source)
    addSource()
    const sizeOf = () => this.#audience.sizeOf(name)
    return {
      name,
      get size() {
        return sizeOf()
      },
      publish: (event, options) => this._publish(name, event, conflate, options),
      subscribe: (stream, options) => {
        // Added again, because the hub may have removed it, or has kept the source of an earlier channel object.
        addSource()
        return this.#subscribeTo(stream, name, options, cache === 'public')
      },
    }
  }

  /**
   * Subscribes a stream to one or several channels, until it closes or the returned function is called. The stream is
   * sent the events that it missed since its last event id, in the order of the store. Live events follow, with no gap
   * and no duplicate. Channels added before the first `await` are resumed together.
   *
   * Throws `SseError` `ERR_SSE_STREAM`, `ERR_SSE_CHANNEL` or `ERR_SSE_OPTION`.
   */
  subscribe(
    stream: SseStream,
    channels: string | readonly string[],
    options: SubscribeOptions = {},
  ): () => void {
    return this.#subscribeTo(stream, channels, options, false)
  }

  #subscribeTo(
    stream: SseStream,
    channels: string | readonly string[],
    options: SubscribeOptions = {},
    isPublic: boolean,
  ): () => void {
    checkStream(stream)
    const names = namesOf(channels)
    checkOptions(options, SUBSCRIBE_CHECKS)
    checkStart(this._store, options.from)
    // Pending entries first, because they were published before.
    turn.fanOutNow()
    if (this.#streams.isShutDown) this.#streams.refuse(stream)
    const present = this.#streams.get(stream)
    if (!present) this.#control.onSubscribe(stream)
    // A stream that was unsubscribed is not new, because the limit does not end open streams.
    const isNew = !present && !this.#resumePoints.has(stream)
    const isOpen = stream._connection.isOpen
    if (isNew && isOpen && this.#streams.size >= this.#maxStreams) refuseStream(stream, FULL, 'capacity')
    // A replay that delays the end of a closed stream MUST cover all channels, because the client resumes after it.
    if (stream.closed && !present) return () => {}
    const subscription = present ?? this.#subscribe(stream)
    const own = ownOptions(options)
    const cache = stream._pollCache
    if (cache) cache.isPublic = isPublic && !own.filter && cache.isPublic !== false
    const added = names.filter((name) => !subscription.isSubscribed(name))
    subscription.add(names, own)
    for (const name of added) this.#audience.join(name)
    return () => {
      // The page is not public any more, because it may lack events of these channels.
      if (cache) cache.isPublic = false
      const present = names.filter((name) => subscription.isSubscribed(name))
      subscription.remove(names, own)
      for (const name of present) if (!subscription.isSubscribed(name)) this.#audience.leave(name)
    }
  }

  /** The state of the connection to the store: `ready`, `connecting`, `reconnecting` or `closed`. */
  get state(): StoreState {
    return this._store.state ?? 'ready'
  }

  /** The number of streams that are subscribed to a channel of the hub. */
  get size(): number {
    return this.#streams.size
  }

  /** The streams that are subscribed to a channel of the hub in this process. */
  get streams(): Iterable<SseStream> {
    return this.#streams.keys()
  }

  /**
   * Closes streams of the hub, also in the middle of a replay. An object closes the streams whose `context` has these
   * values, in all processes that share the store: `hub.closeStreams({ userId })`. Streams that were opened before and
   * are subscribed within 30 s are closed too. A function closes the streams of this process for which it returns true.
   * `retry` is the reconnection time of their clients, in ms. Each gets a random time from this to twice this. Default
   * 2 000. Resolves when the store has the request, which each process reads within milliseconds.
   *
   * Rejects with `SseError` `ERR_SSE_OPTION`, `ERR_SSE_STORE` or `ERR_SSE_SHUT_DOWN`. After the last two, the streams
   * of this process are closed. Rejects before a stream is closed if the function throws or returns no boolean.
   */
  closeStreams(filter: StreamFilter, options: CloseStreamsOptions = {}): Promise<void> {
    return this.#control.closeStreams(filter, options)
  }

  /**
   * Calls `authorize` of their routes again for the streams of the hub that `filter` selects, as in `closeStreams`.
   * Resolves when the store has the request, which may be before `authorize` is called.
   *
   * Rejects with `SseError` `ERR_SSE_OPTION`, `ERR_SSE_STORE` or `ERR_SSE_SHUT_DOWN`.
   */
  reauthorize(filter: StreamFilter): Promise<void> {
    return this.#control.reauthorize(filter)
  }

  /** The number of publishes after `shutdown` that were not awaited. Their events were dropped. */
  get droppedPublishes(): number {
    return this.#droppedPublishes
  }

  /**
   * Rejects further publishes, flushes every stream, sends each client a jittered reconnection time and closes it.
   * Streams still open after `grace` are destroyed. With `spread`, events can be published until all streams are
   * closed. Resolves when all streams, sources and the store are closed. A source is awaited for at most 5 s.
   *
   * Rejects with `SseError` `ERR_SSE_OPTION`.
   */
  async shutdown(options: ShutdownOptions = {}): Promise<void> {
    const settings = shutdownSettings(options)
    this.#isShutDown ||= settings.spread === 0
    await this._closeStreams(settings)
    this.#isShutDown = true
    await this.#audience.close()
    this.#closed ??= this._store.close()
    await this.#closed
  }

  /**
   * @internal Closes the streams as `shutdown` does. Further streams are refused, and events can still be published.
   */
  readonly _closeStreams = (settings: ShutdownSettings): Promise<void> => this.#streams.shutdown(settings)

  /** @internal */
  _publish(channel: string, event: SseEvent, conflate: boolean, options?: PublishOptions): Promise<string> {
    return new PublishPromise(
      (resolve) => {
        const publication = publicationOf(channel, event, conflate, this.#serialize, options)
        // An event that a filter or a listener publishes follows the entries being delivered, and its subscriptions.
        // This includes a filter of another hub, because a subscription of this hub may run that hub's fan-out.
        resolve(
          turn.isFanningOut ? Promise.resolve(publication).then(this.#append) : this.#append(publication),
        )
      },
      (error) => this.#reportUnawaited(error, channel),
    )
  }

  readonly #append = (publication: Publication): Promise<string> => {
    if (this.#isShutDown)
      throw new SseError('ERR_SSE_SHUT_DOWN', 'The hub is shut down: publish no more events.')
    return reportedAppend(this, publication)
  }

  #reportUnawaited(error: unknown, channel: string): void {
    const isDropped = error instanceof SseError && error.code === 'ERR_SSE_SHUT_DOWN'
    if (isDropped) this.#droppedPublishes += 1
    this.#errors.publishFailed(error, channel, isDropped)
  }

  #subscribe(stream: SseStream): Subscription {
    const resumePoint = this.#resumePoints.get(stream) ?? stream._resumePoint
    const subscription = new Subscription(stream, this.#context, resumePoint)
    this.#streams.add(stream, subscription)
    return subscription
  }

  #onLoss(): void {
    for (const subscription of [...this.#streams.values()]) subscription.onLoss()
    this.#control.onLoss()
  }

  #sourceOf<Events extends EventMap>(
    name: string,
    { source: open, linger = LINGER, conflate = false }: ChannelOptions<Events>,
  ): ChannelFeedSettings | undefined {
    if (!open) return undefined
    if (this._store.isShared && !this.#runs?._isShared) {
      const message = 'The store is shared, so a source needs the option runs of the hub, on a shared store.'
      throw new SseError('ERR_SSE_OPTION', message)
    }
    return {
      open,
      linger,
      publish: (event: SseEvent) => this._publish(name, event, conflate),
      onError: (error: unknown) => this.#errors.sourceFailed(error, name),
      shared: this.#runs && { name: `channel ${name}`, runner: this.#runs },
    }
  }

  // Not at once, because a listener may subscribe or unsubscribe.
  #notify(event: 'active' | 'idle', channel: string): void {
    if (this.listenerCount(event) > 0) queueMicrotask(() => outsideRequests(() => this.emit(event, channel)))
  }

  #onUnsubscribed(stream: SseStream, channels: readonly string[], resumePoint: ResumePoint): void {
    for (const channel of channels) this.#audience.leave(channel)
    this.#streams.delete(stream)
    if (!stream.closed) this.#resumePoints.set(stream, resumePoint)
  }
}
