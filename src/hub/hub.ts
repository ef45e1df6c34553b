import { checkOptions, isBoolean, isFunction, isString, withDefaults } from '../check-options.ts'
import { describe, SseError } from '../errors.ts'
import type { AnyEvents, EventMap, SseEvent } from '../event/event.ts'
import { checkEvent, type Serialize, serialized } from '../formats/event-stream.ts'
import {
  closeGracefully,
  SHUTDOWN_CHECKS,
  SHUTDOWN_DEFAULTS,
  type ShutdownOptions,
  type ShutdownSettings,
} from '../lifecycle/graceful-close.ts'
import type { EventStore, StoreState } from '../stores/event-store.ts'
import { memoryStore } from '../stores/memory/memory-store.ts'
import { checkGapEvent } from '../stream/options.ts'
import type { ResumePoint } from '../stream/resume-point.ts'
import type { SseStream } from '../stream/stream.ts'
import { Broadcaster } from './broadcaster.ts'
import { Channel, type ChannelOptions, type PublishOptions } from './channel.ts'
import { type SubscribeOptions, Subscription } from './subscription.ts'

export interface HubOptions {
  /** Assigns ids to events and keeps them so that they can be read again. Default `memoryStore()`. */
  store?: EventStore | undefined
  /** Serializes data that is not a string. Default `JSON.stringify`. */
  serialize?: Serialize | undefined
  /** Name of the event that tells a client of a gap. False sends none. Default `gap`. */
  gapEvent?: string | false | undefined
}

const CHECKS = {
  store: checkStore,
  serialize: isFunction,
  gapEvent: checkGapEvent,
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
      throw new SseError('ERR_SSE_OPTION', 'A store is an option: new Hub({ store }).')
    checkOptions(options, CHECKS)
    this._store = options.store ?? memoryStore()
    this._gapEvent = options.gapEvent ?? 'gap'
    this.#serialize = options.serialize ?? JSON.stringify
    this._store.open({
      // A filter may publish in the middle of a fan-out: its event comes after the one that it was asked for.
      onEntry: (entry) => this._broadcaster.runAfterFanOut(() => this._broadcaster.broadcast(entry)),
      onLoss: () => this.#onLoss(),
    })
  }

  /** A channel by its name, with the types of its events: `hub.channel<{ price: Quote }>('prices')`. */
  channel<Events extends EventMap = AnyEvents>(name: string, options: ChannelOptions = {}): Channel<Events> {
    checkName(name)
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
    // A client of the time after has the same time to take its reconnection time.
    if (this.#shutdown) void closeGracefully(stream, this.#shutdown)
    if (stream.closed) return () => {}
    const subscription =
      this.#subscriptions.get(stream) ?? new Subscription(stream, this, this.#position(stream))
    this.#subscriptions.set(stream, subscription)
    // A copy: it stands for this call, and only this call is undone.
    const own = { ...options }
    const names = [...channels]
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
    const publication = {
      channel,
      event: event.event,
      data: serialized(event.data, this.#serialize),
      isText: typeof event.data === 'string',
      retry: event.retry,
      key: event.key,
      conflate,
      idempotencyKey: options.idempotencyKey,
    }
    if (this.#shutdown)
      throw new SseError('ERR_SSE_SHUT_DOWN', 'The hub is shut down: publish no more events.')
    return this._store.append(publication)
  }

  #onLoss(): void {
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

function checkStore(store: unknown): string | undefined {
  const methods = ['open', 'append', 'read', 'close'] as const
  const isStore = methods.every((name) => typeof (Object(store) as Partial<EventStore>)[name] === 'function')
  return isStore ? undefined : `a store such as memoryStore(), with ${methods.join(', ')}`
}

function checkNames(names: readonly string[]): void {
  const given = Array.isArray(names) ? names.length === 0 && 'an empty one' : describe(names)
  if (given) throw new SseError('ERR_SSE_CHANNEL', `Channels are given as a list of names, not ${given}.`)
  for (const name of names) checkName(name)
}

function checkName(name: string): void {
  if (typeof name === 'string' && /^[^\r\n\0]{1,255}$/.test(name)) return
  const message = `A channel is a name of 1 to 255 characters without CR, LF and NUL, not ${describe(name)}.`
  throw new SseError('ERR_SSE_CHANNEL', message)
}

function checkPublished(event: SseEvent): void {
  checkEvent(event)
  if (event.id !== undefined)
    throw new SseError('ERR_SSE_ID', 'The store assigns the id: publish the event without one.')
  if (event.key !== undefined && typeof event.key !== 'string')
    throw new SseError('ERR_SSE_EVENT', `The key of an event is a string, not ${describe(event.key)}.`)
  if (event.data === undefined)
    throw new SseError('ERR_SSE_DATA', "A published event needs data (data: '' is allowed).")
}
