import { checkOptions, isBoolean, isFunction, isString, withDefaults } from '../check-options.ts'
import { describe, SseError } from '../errors.ts'
import type { AnyEvents, EventMap, SseEvent } from '../event/event.ts'
import { checkEvent, eventFrame, type Serialize, serialized } from '../formats/event-stream.ts'
import {
  closeGracefully,
  SHUTDOWN_CHECKS,
  SHUTDOWN_DEFAULTS,
  type ShutdownOptions,
  type ShutdownSettings,
} from '../lifecycle/graceful-close.ts'
import type { AppendOptions, EventStore, LogEntry, StoreState } from '../stores/event-store.ts'
import { memoryStore } from '../stores/memory/memory-store.ts'
import { checkGapEvent } from '../stream/options.ts'
import type { ResumePoint } from '../stream/resume-point.ts'
import type { SseStream } from '../stream/stream.ts'
import { Broadcaster } from './broadcaster.ts'
import type { Channel, ChannelOptions, PublishOptions } from './channel.ts'
import { type SubscribeOptions, Subscription } from './subscription.ts'

export interface HubOptions {
  /** Where events get their id and can be read again. Default `memoryStore()`. */
  store?: EventStore | undefined
  /** Turns data that is not a string into one. Default `JSON.stringify`. */
  serialize?: Serialize | undefined
  /** Name of the event that tells a client of a gap. False sends none. Default `gap`. */
  gapEvent?: string | false | undefined
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

/** One ordered log of events, the channels named in it, and the streams that follow them. */
export class Hub {
  /** @internal */
  readonly _store: EventStore
  /** @internal */
  readonly _gapEvent: string | false
  /** @internal */
  readonly _broadcaster = new Broadcaster()
  readonly #serialize: Serialize
  readonly #subscriptions = new Map<SseStream, Subscription>()
  // Where streams go on that left the hub and are still open.
  readonly #goesOnFrom = new WeakMap<SseStream, ResumePoint>()
  #shutdown: ShutdownSettings | undefined
  #closed: Promise<void> | undefined

  /** Throws `SseError` `ERR_SSE_OPTION`. */
  constructor(options: HubOptions = {}) {
    if (!checkStore(options))
      throw new SseError('ERR_SSE_OPTION', 'A store is an option. Pass it as { store }.')
    checkOptions(options, CHECKS, HINTS)
    this._store = options.store ?? memoryStore()
    this._gapEvent = options.gapEvent ?? 'gap'
    this.#serialize = options.serialize ?? JSON.stringify
    this._store.open({
      entry: (id, channel, event, options) => this.#entry(id, channel, event, options),
      serialize: (data) => serialized(data, this.#serialize),
      onEntry: (entry) => this._broadcaster.broadcast(entry),
      onLoss: () => this.#lose(),
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
   * Subscribes a stream to one or several channels. Sends the events it missed since its last event id, in log order, then
   * live events, with no gap and no duplicate, until the stream closes or the returned function is called. Channels added
   * before the first `await` are resumed together.
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
    // A client of the time after has the same time to take its reconnection time.
    if (this.#shutdown) void closeGracefully(stream, this.#shutdown)
    if (stream.closed) return () => {}
    const subscription =
      this.#subscriptions.get(stream) ?? new Subscription(stream, this, this.#position(stream))
    this.#subscriptions.set(stream, subscription)
    // A copy: it stands for this call, and only this call is undone.
    const own = { ...options }
    // A stream that has not been told of an entry yet would go on behind it.
    this._broadcaster.runAfterFanOut(() => subscription.add(names, own))
    return () => subscription.remove(names, own)
  }

  /** Whether the log can be reached. `ready`, or `connecting`, `reconnecting`, `closed`. */
  get state(): StoreState {
    return this._store.state ?? 'ready'
  }

  /** How many streams follow a channel of the hub. */
  get size(): number {
    return this.#subscriptions.size
  }

  /**
   * Takes nothing more, sends every stream what waits for it and when to come back, spread over time, and ends it; what
   * has not left within the grace is cut. Resolves when all streams are over and the log is closed.
   */
  async shutdown(options: ShutdownOptions = {}): Promise<void> {
    checkOptions(options, SHUTDOWN_CHECKS)
    const settings = withDefaults(options, SHUTDOWN_DEFAULTS)
    this.#shutdown = settings
    await Promise.all([...this.#subscriptions.keys()].map((stream) => closeGracefully(stream, settings)))
    this.#closed ??= this._store.close()
    await this.#closed
  }

  /** @internal */
  async _publish(
    channel: string,
    event: SseEvent,
    conflate: boolean,
    options: PublishOptions = {},
  ): Promise<string> {
    checkPublished(event)
    checkOptions(options, PUBLISH_CHECKS)
    if (this.#shutdown)
      throw new SseError('ERR_SSE_SHUT_DOWN', 'The hub is shut down: nothing more is published.')
    // What is published while an entry is told, by a filter say, comes after it for everybody.
    while (this._broadcaster.isFanningOut) await null
    return this._store.append(channel, event, { ...options, conflate })
  }

  #entry(id: string, channel: string, published: SseEvent, { conflate = false }: AppendOptions): LogEntry {
    const key = `${channel}\n${published.key ?? (published.event || 'message')}`
    const event = { ...published, id }
    const frame = this._broadcaster.whileFanningOut(() =>
      eventFrame({ ...event, key }, this.#serialize, conflate),
    )
    return { id, channel, event, frame }
  }

  #lose(): void {
    for (const subscription of [...this.#subscriptions.values()]) subscription.lose()
  }

  /** @internal */
  _ended({ stream }: Subscription, goesOnFrom: ResumePoint): void {
    this.#subscriptions.delete(stream)
    if (!stream.closed) this.#goesOnFrom.set(stream, goesOnFrom)
  }

  #position(stream: SseStream): ResumePoint {
    return this.#goesOnFrom.get(stream) ?? stream._resumesFrom
  }
}

function checkStore(log: unknown): string | undefined {
  const methods = ['open', 'append', 'read', 'close'] as const
  const isLog = methods.every((name) => typeof (Object(log) as Partial<EventStore>)[name] === 'function')
  return isLog ? undefined : `an event log, with ${methods.join(', ')}`
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

function checkPublished(event: SseEvent): void {
  checkEvent(event)
  if (event.id !== undefined)
    throw new SseError('ERR_SSE_ID', 'The log gives the id: publish the event without one.')
  if (event.key !== undefined && typeof event.key !== 'string')
    throw new SseError('ERR_SSE_EVENT', `The key of an event is a string, not ${describe(event.key)}.`)
  if (event.data === undefined)
    throw new SseError('ERR_SSE_DATA', "What is published has data; data: '' is some.")
}
