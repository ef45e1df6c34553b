import { EventEmitter } from 'node:events'
import { checkOptions, isBoolean, isFunction, isWellFormed, oneOf } from '../check-options.ts'
import { describe, SseError } from '../errors.ts'
import type { AnyEvents, EventMap, SseEvent } from '../event/event.ts'
import { checkEvent, type Serialize, serialized } from '../formats/event-fields.ts'
import { SHUTDOWN_CHECKS, SHUTDOWN_DEFAULTS, type ShutdownOptions } from '../lifecycle/graceful-close.ts'
import { StreamSet } from '../lifecycle/stream-set.ts'
import { outsideRequests } from '../scheduler/context.ts'
import { turn } from '../scheduler/turn.ts'
import type { EventStore, StoreState } from '../stores/event-store.ts'
import type { Publication } from '../stores/log-entry.ts'
import { memoryStore } from '../stores/memory/memory-store.ts'
import { checkGapEvent } from '../stream/options.ts'
import type { ResumePoint } from '../stream/resume-point.ts'
import type { SseStream } from '../stream/stream.ts'
import { Broadcaster } from './broadcaster.ts'
import type { Channel, ChannelOptions, PublishOptions } from './channel.ts'
import { checkName, namesOf } from './channel-name.ts'
import { type Deserialize, entryOwnerOf } from './entry-owner.ts'
import { ErrorReporter, type HubErrorContext } from './error-reporter.ts'
import { checkStart } from './history.ts'
import type { HubContext } from './hub-context.ts'
import { PositionKeeper, type Positions } from './positions.ts'
import { PublishPromise } from './publish-promise.ts'
import { SUBSCRIBE_CHECKS, type SubscribeOptions } from './subscribe-options.ts'
import { Subscription } from './subscription.ts'

export interface HubOptions {
  /** Assigns ids to events and keeps them so that they can be read again. Default `memoryStore()`. */
  store?: EventStore | undefined
  /** Serializes data that is not a string. Default `JSON.stringify`. */
  serialize?: Serialize | undefined
  /**
   * Returns the data of a text that `serialize` returned, for filters. Called once per event, and only if a client has a
   * filter. If it throws, these clients do not receive the event, and the hub emits `error`. Default: `JSON.parse`, and the
   * text itself if it is not JSON.
   */
  deserialize?: Deserialize | undefined
  /** Name of the event that reports a gap to the client. False sends none. Default `gap`. */
  gapEvent?: string | false | undefined
  /**
   * How a client is sent its position in the log, from which it resumes before its first event and after a long silence.
   * `event`: as an event with the name `position` and the data `{}`. `id`: as a block with only an id, which some clients
   * ignore. False: not at all, for a protocol of your own. Default `event`.
   */
  positions?: Positions | undefined
}

export interface HubEventMap {
  /**
   * An unawaited publish was rejected, or a filter failed, so that its client did not receive the event. Without a listener,
   * the first error of each kind is printed.
   */
  error: [error: unknown, context: HubErrorContext]
}

const CHECKS = {
  store: checkStore,
  serialize: isFunction,
  deserialize: isFunction,
  gapEvent: checkGapEvent,
  positions: oneOf('event', 'id', false),
}
const STORE_OPTION = 'It is an option of the store, for example of memoryStore().'
const HINTS = {
  log: 'Did you mean store?',
  maxEvents: STORE_OPTION,
  maxBytes: STORE_OPTION,
  maxAge: STORE_OPTION,
  idempotencyWindow: STORE_OPTION,
}
const CHANNEL_CHECKS = { conflate: isBoolean, cache: oneOf('public') }
const PUBLISH_CHECKS = { idempotencyKey: isWellFormed }

/** One ordered log of events, the channels named in it, and the streams subscribed to them. */
export class Hub extends EventEmitter<HubEventMap> {
  /** @internal */
  readonly _store: EventStore
  readonly #serialize: Serialize
  readonly #broadcaster = new Broadcaster()
  readonly #context: HubContext
  readonly #streams = new StreamSet<Subscription>((subscription) => subscription.end())
  // Where open streams resume that were unsubscribed from all channels.
  readonly #resumePoints = new WeakMap<SseStream, ResumePoint>()
  #closed: Promise<void> | undefined
  #droppedPublishes = 0
  readonly #errors = new ErrorReporter(this)

  /** Throws `SseError` `ERR_SSE_OPTION`. */
  constructor(options: HubOptions = {}) {
    super()
    if (!checkStore(options))
      throw new SseError('ERR_SSE_OPTION', 'A store is an option: new Hub({ store }).')
    checkOptions(options, CHECKS, HINTS)
    this._store = options.store ?? memoryStore()
    this.#serialize = options.serialize ?? JSON.stringify
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
      onUnsubscribed: (stream, resumePoint) => this.#onUnsubscribed(stream, resumePoint),
    }
    this._store.open({
      onEntry: (entry) => {
        entry._adopt(owner)
        this.#broadcaster.broadcast(entry)
        if (this.#streams.size > 0) positions.onEntry()
      },
      onLoss: () => outsideRequests(() => this.#onLoss()),
    })
  }

  /**
   * Returns a channel by its name. Its events can be typed, for example `hub.channel<{ price: Quote }>('prices')`.
   *
   * Throws `SseError` `ERR_SSE_CHANNEL` or `ERR_SSE_OPTION`.
   */
  channel<Events extends EventMap = AnyEvents>(name: string, options: ChannelOptions = {}): Channel<Events> {
    checkName(name)
    checkOptions(options, CHANNEL_CHECKS)
    const { conflate = false, cache } = options
    if (conflate && cache)
      throw new SseError(
        'ERR_SSE_OPTION',
        'A channel with conflate cannot be cached, because its history changes.',
      )
    return {
      name,
      publish: (event, options) => this._publish(name, event, conflate, options),
      subscribe: (stream, options) => this.#subscribeTo(stream, name, options, cache === 'public'),
    }
  }

  /**
   * Subscribes a stream to one or several channels, until it closes or the returned function is called. First it is sent
   * what it missed since its last event id, in the order of the store, then live events, with no gap and no duplicate.
   * Channels added before the first `await` are resumed together.
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
    // Not `instanceof`: the ES module and the CommonJS build each have a class of their own.
    if (typeof stream?._deliver !== 'function') {
      throw new SseError('ERR_SSE_STREAM', `Expected an SseStream, not ${describe(stream)}.`)
    }
    const names = namesOf(channels)
    checkOptions(options, SUBSCRIBE_CHECKS)
    checkStart(this._store, options.from)
    // Pending entries first, because they were published before.
    turn.fanOutNow()
    if (this.#streams.isShutDown) this.#streams.refuse(stream)
    const present = this.#streams.get(stream)
    // A replay that delays the end of a closed stream MUST cover all channels, because the client resumes after it.
    if (stream.closed && !present) return () => {}
    const subscription = present ?? this.#subscribe(stream)
    // A copy, so that the returned function undoes this call only.
    const { onGap, filter, snapshot, from } = options
    const own = { onGap, filter, snapshot, from, isRemoved: false }
    const cache = stream._pollCache
    if (cache) cache.isPublic = isPublic && !filter && cache.isPublic !== false
    subscription.add(names, own)
    return () => {
      // The page may lack events that it would have otherwise.
      if (cache) cache.isPublic = false
      subscription.remove(names, own)
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

  /** The number of publishes after `shutdown` that were not awaited. Their events were dropped. */
  get droppedPublishes(): number {
    return this.#droppedPublishes
  }

  /**
   * Rejects further publishes, flushes every stream, sends each client a jittered reconnection time and closes it. Streams
   * still open after `grace` are destroyed. Resolves when all streams and the store are closed.
   *
   * Rejects with `SseError` `ERR_SSE_OPTION`.
   */
  async shutdown(options: ShutdownOptions = {}): Promise<void> {
    await this.#streams.shutdown({ ...SHUTDOWN_DEFAULTS, ...checkOptions(options, SHUTDOWN_CHECKS) })
    this.#closed ??= this._store.close()
    await this.#closed
  }

  /** @internal */
  _publish(channel: string, event: SseEvent, conflate: boolean, options?: PublishOptions): Promise<string> {
    return new PublishPromise(
      (resolve) => {
        const publication = this.#publicationOf(channel, event, conflate, options)
        // An event that a filter or a listener publishes comes after the entries being delivered, and after its
        // subscriptions.
        const isEarly = this.#broadcaster.isFanningOut
        resolve(isEarly ? Promise.resolve(publication).then(this.#append) : this.#append(publication))
      },
      (error) => this.#reportUnawaited(error, channel),
    )
  }

  #publicationOf(
    channel: string,
    event: SseEvent,
    conflate: boolean,
    options: PublishOptions = {},
  ): Publication {
    const { event: name, data, retry, key } = checkPublished(event)
    checkOptions(options, PUBLISH_CHECKS)
    const { idempotencyKey } = options
    const isText = typeof data === 'string'
    const text = serialized(data, this.#serialize)
    return { channel, event: name, data: text, isText, retry, key, conflate, idempotencyKey }
  }

  readonly #append = (publication: Publication): Promise<string> => {
    if (this.#streams.isShutDown)
      throw new SseError('ERR_SSE_SHUT_DOWN', 'The hub is shut down: publish no more events.')
    return this._store.append(publication)
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
  }

  #onUnsubscribed(stream: SseStream, resumePoint: ResumePoint): void {
    this.#streams.delete(stream)
    if (!stream.closed) this.#resumePoints.set(stream, resumePoint)
  }
}

function checkStore(store: unknown): string | undefined {
  const methods = ['open', 'append', 'read', 'close'] as const
  const isStore = methods.every((name) => typeof (Object(store) as Partial<EventStore>)[name] === 'function')
  return isStore ? undefined : `a store such as memoryStore(), with ${methods.join(', ')}`
}

/** Returns the fields of an event, each of which was read once. */
function checkPublished(event: SseEvent) {
  const { event: name, id, retry, key, data } = checkEvent(event)
  if (id !== undefined)
    throw new SseError('ERR_SSE_ID', 'The store assigns the id: publish the event without one.')
  if (key !== undefined && typeof key !== 'string')
    throw new SseError('ERR_SSE_EVENT', `The key of an event is a string, not ${describe(key)}.`)
  if (data === undefined)
    throw new SseError('ERR_SSE_DATA', "A published event needs data (data: '' is allowed).")
  return { event: name, retry, key, data }
}
