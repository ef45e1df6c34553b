import type { AnyEvents, DataEvent, EventMap, SseEvent } from '../event/event.ts'
import type { SseStream } from '../stream/stream.ts'
import type { Hub } from './hub.ts'
import type { SubscribeOptions } from './subscription.ts'

type WithoutId<Event> = Event extends unknown ? Omit<Event, 'id'> & { id?: undefined } : never

/** What is published: an event whose id the log gives. */
export type PublishedEvent<Events extends EventMap = AnyEvents> = WithoutId<DataEvent<Events>>

export interface PublishOptions {
  /**
   * What the event is known by to its publisher, so that a publish can be tried again: the same key on the same
   * channel within the log's window is delivered once, and the second call resolves with the first one's id.
   */
  idempotencyKey?: string | undefined
}

export interface ChannelOptions {
  /** For values where only the newest of each `key` matters: no more is kept, replayed, or waits for a slow client. */
  conflate?: boolean | undefined
}

/** A topic in a hub. Made by `hub.channel`; it holds nothing, so that any number of them can be made. */
export class Channel<Events extends EventMap = AnyEvents> {
  readonly name: string
  readonly #hub: Hub
  readonly #conflate: boolean

  /** @internal */
  constructor(hub: Hub, name: string, conflate: boolean) {
    this.#hub = hub
    this.name = name
    this.#conflate = conflate
  }

  /**
   * Publishes an event to all who follow the channel. Resolves with its id once the log has it. Rejects with `SseError`
   * for an event that cannot be encoded or that has an id, and with what the log fails with.
   */
  publish(event: PublishedEvent<Events>, options?: PublishOptions): Promise<string> {
    return this.#hub._publish(this.name, event as SseEvent, this.#conflate, options)
  }

  /** Sends the stream what it missed of the channel and then what is published, until the returned function is called. */
  subscribe(stream: SseStream<Events>, options?: SubscribeOptions<Events>): () => void {
    return this.#hub.subscribe(stream, [this.name], options)
  }
}
