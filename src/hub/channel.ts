import type { AnyEvents, DataEvent, EventMap } from '../event/event.ts'
import type { MaybePromise, Source } from '../event/source.ts'
import type { SseStream } from '../stream/stream.ts'
import type { SubscribeOptions } from './subscribe-options.ts'

type WithoutId<Event> = Event extends unknown ? Omit<Event, 'id'> & { id?: undefined } : never

/** An event to publish. It has no id, because its id is its position in the log. */
export type PublishedEvent<Events extends EventMap = AnyEvents> = WithoutId<DataEvent<Events>>

export interface PublishOptions {
  /**
   * Identifies the event, so that a publish can be repeated safely. Within the store's `idempotencyWindow`, an event
   * with the same key on the same channel is published once; later calls resolve with its id. Default: none.
   */
  idempotencyKey?: string | undefined
}

export interface ChannelOptions<Events extends EventMap = AnyEvents> {
  /** True keeps, replays and queues only the newest event per `key`. Default false. */
  conflate?: boolean | undefined
  /**
   * With `public`, shared caches MAY keep the events of the channel. Every client that can request the route may then
   * read them. The option applies to long polls that name the format and the cursor in the URL. All their channels MUST
   * be public and without a filter. Cannot be combined with `conflate`, whose history changes. Default: none.
   */
  cache?: 'public' | undefined
  /**
   * Returns events that are published on the channel while it has subscribers. Its signal aborts `linger` ms after the
   * last one has unsubscribed. A source that ends or fails is started again after a delay. For a store that several
   * processes share, the hub needs the option `runs`, so that only one process runs the source. Default: none.
   */
  source?: ((signal: AbortSignal) => MaybePromise<Source<Events>>) | undefined
  /** How long the source runs without subscribers, in ms. Default 5 000. */
  linger?: number | undefined
}

/** A named topic of a hub, returned by `hub.channel`. It holds no state, so it can be created wherever it is needed. */
export interface Channel<Events extends EventMap = AnyEvents> {
  readonly name: string
  /** The number of streams in this process that are subscribed to the channel. */
  readonly size: number

  /**
   * Publishes an event to all subscribers of the channel. Resolves with its id when the store has it.
   *
   * Rejects with `SseError` if the event is invalid or has an id, and with the error of the store. If the promise is
   * not awaited, the hub emits the error as `error`; it is never an unhandled rejection.
   */
  publish(event: PublishedEvent<Events>, options?: PublishOptions): Promise<string>

  /**
   * Subscribes a stream to the channel, as `hub.subscribe` does. Returns a function that unsubscribes it. The stream
   * may have further events, for example those of another channel.
   *
   * Throws `SseError` `ERR_SSE_STREAM` or `ERR_SSE_OPTION`.
   */
  subscribe<Own extends Events>(stream: SseStream<Own>, options?: SubscribeOptions<Events>): () => void
}
