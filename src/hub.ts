import { Channel, type ChannelOptions, type PublishOptions } from './channel.ts'
import {
  between,
  type Check,
  checkOptions,
  isBoolean,
  isFunction,
  isString,
  withDefaults,
} from './check-options.ts'
import { spread } from './deadlines.ts'
import type { Serialize } from './encode.ts'
import { describe, SseError } from './errors.ts'
import type { AnyEvents, EventMap, SseEvent } from './event.ts'
import { eventFrame } from './frame.ts'
import type { AppendOptions, EventLog, LogEntry, LogFollower } from './logs/event-log.ts'
import { MemoryLog } from './logs/memory.ts'
import { checkGapEvent } from './options.ts'
import type { SseStream } from './stream.ts'
import { type SubscribeOptions, Subscription, type SubscriptionOwner } from './subscription.ts'

export interface HubOptions {
  /** Where events get their id and can be read again. Default: `new MemoryLog()`. */
  log?: EventLog | undefined
  /** Turns data that is not a string into one. Default `JSON.stringify`. */
  serialize?: Serialize | undefined
  /** Name of the event that tells a client of a gap. False sends none. Default `gap`. */
  gapEvent?: string | false | undefined
}

export interface ShutdownOptions {
  /** How long clients have to take what waits for them, in ms. Default 5 000. */
  graceMs?: number | undefined
  /** When they come back: between this and twice this, in ms. Default 2 000. */
  retry?: number | undefined
}

const MAX_TIME = 2 ** 31 - 1

const CHECKS = {
  log: ((log) => (typeof Object(log).append === 'function' ? undefined : 'an event log')) as Check,
  serialize: isFunction,
  gapEvent: checkGapEvent,
}
const CHANNEL_CHECKS = { conflate: isBoolean }
const SUBSCRIBE_CHECKS = { onGap: isFunction, filter: isFunction }
const PUBLISH_CHECKS = { idempotencyKey: isString }
const SHUTDOWN_CHECKS = { graceMs: between(0, MAX_TIME), retry: between(0, MAX_TIME) }

/** One ordered log of events, the channels named in it, and the streams that follow them. */
export class Hub implements LogFollower, SubscriptionOwner {
  /** @internal */
  readonly _log: EventLog
  /** @internal */
  readonly _gapEvent: string | false
  readonly #serialize: Serialize
  readonly #live = new Map<string, Set<Subscription>>()
  readonly #subscriptions = new Map<SseStream, Subscription>()
  readonly #resumed = new WeakSet<SseStream>()
  #isShutDown = false
  #retry = DEFAULT_RETRY

  /** Throws `SseError` `ERR_SSE_OPTION`. */
  constructor(options: HubOptions = {}) {
    checkOptions(options, CHECKS)
    this._log = options.log ?? new MemoryLog()
    this._gapEvent = options.gapEvent ?? 'gap'
    this.#serialize = options.serialize ?? JSON.stringify
    this._log.open(this)
  }

  /** A channel by its name, with the types of its events: `hub.channel<{ price: Quote }>('prices')`. */
  channel<Events extends EventMap = AnyEvents>(name: string, options: ChannelOptions = {}): Channel<Events> {
    checkNames([name])
    checkOptions(options, CHANNEL_CHECKS)
    return new Channel(this, name, options.conflate ?? false)
  }

  /**
   * Has a stream follow channels: what it missed since its last event id comes first, in the order of the log; what is
   * published after that follows without a hole and without a repeat, until the stream closes or the returned function
   * is called. All that it follows before the first `await` is resumed together.
   *
   * Throws `SseError`: `ERR_SSE_STREAM`, `ERR_SSE_CHANNEL`, `ERR_SSE_OPTION`.
   */
  subscribe(stream: SseStream, channels: readonly string[], options: SubscribeOptions = {}): () => void {
    // Not `instanceof`: the ES module and the CommonJS build each have a class of their own.
    if (typeof stream?._deliver !== 'function') {
      throw new SseError('ERR_SSE_STREAM', `Expected a stream of createSseStream, not ${describe(stream)}.`)
    }
    checkNames(channels)
    checkOptions(options, SUBSCRIBE_CHECKS)
    if (this.#isShutDown) sendAway(stream, this.#retry)
    if (stream.closed) return () => {}
    const subscription = this.#subscriptions.get(stream) ?? this.#begin(stream)
    subscription.add(channels, options)
    return () => subscription.remove(channels)
  }

  // A stream resumes once. One that followed nothing for a while begins with what comes now.
  #begin(stream: SseStream): Subscription {
    const subscription = new Subscription(
      stream,
      this,
      this.#resumed.has(stream) ? 'new' : stream._resumesFrom,
    )
    this.#resumed.add(stream)
    this.#subscriptions.set(stream, subscription)
    return subscription
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
    const { graceMs, retry } = withDefaults(options, { graceMs: 5_000, retry: DEFAULT_RETRY })
    this.#isShutDown = true
    this.#retry = retry
    const streams = [...this.#subscriptions.keys()]
    const over = streams.map((stream) => new Promise((resolve) => stream.once('close', resolve)))
    for (const stream of streams) sendAway(stream, retry)
    const cut = setTimeout(() => {
      for (const stream of streams) stream.destroy()
    }, graceMs)
    await Promise.all(over)
    clearTimeout(cut)
    await this._log.close()
  }

  /** @internal */
  async _publish(
    channel: string,
    event: SseEvent,
    options: PublishOptions | undefined,
    conflate: boolean,
  ): Promise<string> {
    checkOptions(options, PUBLISH_CHECKS)
    checkPublished(event)
    if (this.#isShutDown)
      throw new SseError('ERR_SSE_SHUT_DOWN', 'The hub is shut down: nothing more is published.')
    return this._log.append(channel, event, { ...options, conflate })
  }

  /** @internal */
  entry(id: string, channel: string, published: SseEvent, { conflate = false }: AppendOptions): LogEntry {
    const key = `${channel}\n${published.key ?? (published.event || 'message')}`
    const event = { ...published, id }
    return { id, channel, event, frame: eventFrame({ ...event, key }, this.#serialize, conflate) }
  }

  /** @internal */
  onEntry(entry: LogEntry): void {
    for (const subscription of this.#live.get(entry.channel) ?? []) subscription.deliver(entry)
  }

  /** @internal */
  _attach(channel: string, subscription: Subscription): void {
    const live = this.#live.get(channel)
    if (live) live.add(subscription)
    else this.#live.set(channel, new Set([subscription]))
  }

  /** @internal */
  _detach(channel: string, subscription: Subscription): void {
    const live = this.#live.get(channel)
    if (live?.delete(subscription) && live.size === 0) this.#live.delete(channel)
  }

  /** @internal */
  _ended(subscription: Subscription): void {
    this.#subscriptions.delete(subscription.stream)
  }
}

const DEFAULT_RETRY = 2_000

function sendAway(stream: SseStream, retry: number): void {
  if (retry > 0) stream.send({ retry: spread(retry) })
  stream.close()
}

function checkNames(names: readonly string[]): void {
  const isUsable = (name: unknown) => typeof name === 'string' && /^[^\r\n\0]{1,255}$/.test(name)
  if (Array.isArray(names) && names.length > 0 && names.every(isUsable)) return
  const message = `A channel is a name of 1 to 255 characters without CR, LF and NUL, not ${describe(names)}.`
  throw new SseError('ERR_SSE_CHANNEL', message)
}

function checkPublished(event: SseEvent): void {
  if (typeof event !== 'object' || event === null) {
    throw new SseError(
      'ERR_SSE_EVENT',
      `An event is an object such as { data: 'text' }, not ${describe(event)}.`,
    )
  }
  if (event.id !== undefined)
    throw new SseError('ERR_SSE_ID', 'The log gives the id: publish the event without one.')
  if (event.data === undefined)
    throw new SseError('ERR_SSE_DATA', "What is published has data; data: '' is some.")
}
