import type { EventStore, StoreState } from '../stores/event-store.ts'
import type { SseStream } from '../stream/stream.ts'
import type { Attributes, ObservedName } from './instruments.ts'

/** The sums of the streams with the same attributes. */
class Sums {
  streams = 0
  queued = 0
  events = 0
  bytes = 0

  addSent({ sentEvents, sentBytes }: { readonly sentEvents: number; readonly sentBytes: number }): void {
    this.events += sentEvents
    this.bytes += sentBytes
  }
}

/** Is called with each point of the instruments that are observed. */
export type Observe = (name: ObservedName, value: number, attributes: Attributes) => void

const STATES = ['connecting', 'ready', 'reconnecting'] as const satisfies StoreState[]

/**
 * The open streams and stores. Their counts are read when they are collected, so that an event that is sent costs
 * nothing more than without metrics.
 */
export class OpenStreams {
  readonly #open = new Map<SseStream, Attributes>()
  // A closed stream may still report what it discards.
  readonly #removed = new WeakMap<SseStream, Attributes>()
  // The sums of the closed streams, for each combination of attributes.
  readonly #closed = new Map<Attributes, Sums>()
  readonly #stores = new Map<EventStore, StoreState>()
  // Without a store there are no points, but the counts of closed stores return to 0.
  #hasStores = false

  add(stream: SseStream, attributes: Attributes): void {
    this.#open.set(stream, attributes)
  }

  /** Returns the attributes of an open stream, or undefined if it was opened before it could be added. */
  attributesOf(stream: SseStream): Attributes | undefined {
    return this.#open.get(stream)
  }

  /** Returns the attributes of a stream that was added, open or closed. */
  knownAttributesOf(stream: SseStream): Attributes | undefined {
    return this.#open.get(stream) ?? this.#removed.get(stream)
  }

  remove(stream: SseStream, attributes: Attributes): void {
    this.#open.delete(stream)
    this.#removed.set(stream, attributes)
    sumsOf(this.#closed, attributes).addSent(stream._connection)
  }

  /** Sets the state of a store. A closed store is removed. */
  setState(store: EventStore, state: StoreState): void {
    this.#hasStores = true
    if (state === 'closed') this.#stores.delete(store)
    else this.#stores.set(store, state)
  }

  observe(observe: Observe): void {
    for (const [attributes, { streams, queued, events, bytes }] of this.#sums()) {
      observe('spillway.server.active_streams', streams, attributes)
      observe('spillway.server.queued_events', queued, attributes)
      observe('spillway.server.sent_events', events, attributes)
      observe('spillway.server.sent_bytes', bytes, attributes)
    }
    if (!this.#hasStores) return
    const states = [...this.#stores.values()]
    for (const state of STATES) {
      const count = states.filter((each) => each === state).length
      observe('spillway.store.state', count, { 'spillway.store.state': state })
    }
  }

  #sums(): Map<Attributes, Sums> {
    const all = new Map<Attributes, Sums>()
    for (const [attributes, { events, bytes }] of this.#closed)
      sumsOf(all, attributes).addSent({ sentEvents: events, sentBytes: bytes })
    for (const [stream, attributes] of this.#open) {
      const sums = sumsOf(all, attributes)
      sums.streams += 1
      sums.queued += stream.bufferedEvents
      sums.addSent(stream._connection)
    }
    return all
  }
}

function sumsOf(all: Map<Attributes, Sums>, attributes: Attributes): Sums {
  const present = all.get(attributes) ?? new Sums()
  all.set(attributes, present)
  return present
}
