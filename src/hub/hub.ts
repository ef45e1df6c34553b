import { EventEmitter } from 'node:events'
import { checkOptions, isBoolean, isFunction, isString, withDefaults } from '../check-options.ts'
import { describe, SseError } from '../errors.ts'
import type { AnyEvents, EventMap, SseEvent } from '../event/event.ts'
import { checkEvent, type Serialize, serialized } from '../formats/event-stream.ts'
import { SHUTDOWN_CHECKS, SHUTDOWN_DEFAULTS, type ShutdownOptions } from '../lifecycle/graceful-close.ts'
import { StreamSet } from '../lifecycle/stream-set.ts'
import { outsideRequests } from '../scheduler/context.ts'
import { publishErrorChannel } from '../stores/diagnostics.ts'
import type { EventStore, StoreState } from '../stores/event-store.ts'
import type { Publication } from '../stores/log-entry.ts'
import { memoryStore } from '../stores/memory/memory-store.ts'
import { checkGapEvent } from '../stream/options.ts'
import type { ResumePoint } from '../stream/resume-point.ts'
import type { SseStream } from '../stream/stream.ts'
import { Broadcaster } from './broadcaster.ts'
import type { Channel, ChannelOptions, PublishOptions } from './channel.ts'
import { PublishPromise } from './publish-promise.ts'
import { type HubContext, type SubscribeOptions, Subscription } from './subscription.ts'

export interface HubOptions {
  /** Assigns ids to events and keeps them so that they can be read again. Default `memoryStore()`. */
  store?: EventStore | undefined
  /** Serializes data that is not a string. Default `JSON.stringify`. */
  serialize?: Serialize | undefined
  /** Name of the event that reports a gap to the client. False sends none. Default `gap`. */
  gapEvent?: string | false | undefined
}

export interface HubEventMap {
  /** An unawaited publish to `channel` was rejected. Without a listener, the first error of a hub is printed. */
  error: [error: unknown, context: { readonly channel: string }]
}

const CHECKS = {
  store: checkStore,
  serialize: isFunction,
  gapEvent: checkGapEvent,
}
const STORE_OPTION = 'It is an option of the store, for example of memoryStore().'
const HINTS = {
  log: 'Did you mean store?',
  maxEvents: STORE_OPTION,
  maxBytes: STORE_OPTION,
  maxAge: STORE_OPTION,
  idempotencyWindow: STORE_OPTION,
}
const CHANNEL_CHECKS = { conflate: isBoolean }
const PUBLISH_CHECKS = { idempotencyKey: isString }
const SUBSCRIBE_CHECKS = { onGap: isFunction, filter: isFunction }

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
  #hasPrintedError = false

  /** Throws `SseError` `ERR_SSE_OPTION`. */
  constructor(options: HubOptions = {}) {
    super()
    if (!checkStore(options))
      throw new SseError('ERR_SSE_OPTION', 'A store is an option: new Hub({ store }).')
    checkOptions(options, CHECKS, HINTS)
    this._store = options.store ?? memoryStore()
    this.#serialize = options.serialize ?? JSON.stringify
    this.#context = {
      store: this._store,
      broadcaster: this.#broadcaster,
      gapEvent: options.gapEvent ?? 'gap',
      onUnsubscribed: (stream, resumePoint) => this.#onUnsubscribed(stream, resumePoint),
    }
    this._store.open({
      onEntry: (entry) => this.#broadcaster.broadcast(entry),
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
    const conflate = options.conflate ?? false
    return {
      name,
      publish: (event, options) => this._publish(name, event, conflate, options),
      subscribe: (stream, options) => this.subscribe(stream, name, options),
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
    // Not `instanceof`: the ES module and the CommonJS build each have a class of their own.
    if (typeof stream?._deliver !== 'function') {
      throw new SseError('ERR_SSE_STREAM', `Expected an SseStream, not ${describe(stream)}.`)
    }
    const names = namesOf(channels)
    checkOptions(options, SUBSCRIBE_CHECKS)
    if (this.#streams.isShutDown) this.#streams.refuse(stream)
    if (stream.closed) return () => {}
    const subscription = this.#streams.get(stream) ?? this.#subscribe(stream)
    // A copy, so that the returned function undoes this call only.
    const own = { onGap: options.onGap, filter: options.filter }
    subscription.add(names, own)
    return () => subscription.remove(names, own)
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
    checkOptions(options, SHUTDOWN_CHECKS)
    const settings = withDefaults(options, SHUTDOWN_DEFAULTS)
    await this.#streams.shutdown(settings)
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
    if (publishErrorChannel.hasSubscribers) publishErrorChannel.publish({ hub: this, channel, error })
    if (error instanceof SseError && error.code === 'ERR_SSE_SHUT_DOWN') this.#droppedPublishes += 1
    else if (this.listenerCount('error') > 0) this.emit('error', error, { channel })
    else if (!this.#hasPrintedError) {
      this.#hasPrintedError = true
      const hint = "Spillway prints no further errors of this hub: use hub.on('error', listener)."
      console.error(`An unawaited publish to ${describe(channel)} was rejected. ${hint} ${reasonOf(error)}`)
    }
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

/** Returns an error as it is printed, for example `ERR_SSE_STORE: The broker is lost.` */
function reasonOf(error: unknown): string {
  return error instanceof Error
    ? `${(error as Partial<SseError>).code ?? error.name}: ${error.message}`
    : describe(error)
}

function checkStore(store: unknown): string | undefined {
  const methods = ['open', 'append', 'read', 'close'] as const
  const isStore = methods.every((name) => typeof (Object(store) as Partial<EventStore>)[name] === 'function')
  return isStore ? undefined : `a store such as memoryStore(), with ${methods.join(', ')}`
}

/** Returns a copy, because the caller may change its list later. */
function namesOf(channels: string | readonly string[]): string[] {
  const names = typeof channels === 'string' ? [channels] : channels
  if (!Array.isArray(names) || names.length === 0) {
    const given = Array.isArray(names) ? 'an empty list' : describe(names)
    throw new SseError('ERR_SSE_CHANNEL', `Channels must be a name or a list of names, not ${given}.`)
  }
  for (const name of names) checkName(name)
  return [...names]
}

function checkName(name: string): void {
  if (typeof name === 'string' && /^[^\r\n\0]{1,255}$/.test(name)) return
  const message = `A channel name must be a string of 1 to 255 characters without CR, LF and NUL, not ${describe(name)}.`
  throw new SseError('ERR_SSE_CHANNEL', message)
}

/** Returns the fields of an event. Each is read once, because a getter or `toJSON` may change the event afterwards. */
function checkPublished(event: SseEvent) {
  const { event: name, id, retry } = checkEvent(event)
  const { key, data } = event
  if (id !== undefined)
    throw new SseError('ERR_SSE_ID', 'The store assigns the id: publish the event without one.')
  if (key !== undefined && typeof key !== 'string')
    throw new SseError('ERR_SSE_EVENT', `The key of an event is a string, not ${describe(key)}.`)
  if (data === undefined)
    throw new SseError('ERR_SSE_DATA', "A published event needs data (data: '' is allowed).")
  return { event: name, retry, key, data }
}
