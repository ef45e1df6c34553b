import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { SseStream } from '../stream/stream.ts'
import type { DiagnosticsMessages } from './diagnostics-messages.ts'
import type { Attributes, RecordedName } from './instruments.ts'
import { type Observe, OpenStreams } from './open-streams.ts'
import { type MetricsOptions, StreamAttributes } from './stream-attributes.ts'

/** Adds a value to a counter, or records it in a histogram. */
export type RecordValue = (name: RecordedName, value: number, attributes: Attributes) => void

const NONE: Attributes = {}

/** Converts diagnostics messages to metrics, for any library of metrics. */
export class Recorder {
  readonly #record: RecordValue
  readonly #attributes: StreamAttributes
  #open = new OpenStreams()
  readonly #stops: Array<() => void> = []

  constructor(record: RecordValue, options: MetricsOptions) {
    this.#record = record
    this.#attributes = new StreamAttributes(options)
    this.#listenToStreams()
    this.#listenToQueues()
    this.#listenToHubs()
  }

  /** Calls a function with each present value of the instruments that are observed. */
  observe(observe: Observe): void {
    this.#open.observe(observe)
  }

  /** Ends when `stop` is called. */
  on<Name extends keyof DiagnosticsMessages>(
    name: Name,
    listener: (message: DiagnosticsMessages[Name]) => void,
  ): void {
    const untyped = listener as (message: unknown) => void
    subscribe(name, untyped)
    this.#stops.push(() => unsubscribe(name, untyped))
  }

  stop(): void {
    for (const stop of this.#stops) stop()
    // This object receives no further messages about the close of open streams.
    this.#open = new OpenStreams()
  }

  #listenToStreams(): void {
    this.on('spillway:stream:open', ({ stream }) => this.#open.add(stream, this.#attributes.of(stream)))
    this.on('spillway:stream:begin', ({ stream, duration }) =>
      this.#record('spillway.server.time_to_first_byte', duration / 1000, this.#of(stream)),
    )
    this.on('spillway:stream:close', ({ stream, reason, error, duration, lag }) => {
      const attributes = this.#open.attributesOf(stream)
      // The stream was opened before the metrics started, so it was not counted as open.
      if (!attributes) return
      this.#open.remove(stream, attributes)
      const end = { ...attributes, 'spillway.close.reason': reason, ...typeOf(error) }
      this.#record('spillway.server.stream.duration', duration / 1000, end)
      if (lag > 0) this.#record('spillway.server.queue.lag', lag / 1000, attributes)
    })
    this.on('spillway:stream:replay', ({ stream, events, duration, resumed, error }) => {
      const attributes = this.#of(stream)
      if (events > 0) this.#record('spillway.server.replayed_events', events, attributes)
      if (!resumed) return
      this.#record('spillway.server.replay.duration', duration / 1000, { ...attributes, ...typeOf(error) })
    })
    this.on('spillway:stream:gap', ({ stream, gap }) =>
      this.#record('spillway.server.gaps', 1, { ...this.#of(stream), 'spillway.gap.reason': gap.reason }),
    )
  }

  #listenToQueues(): void {
    this.on('spillway:stream:overflow', ({ stream, policy, dropped }) => {
      const attributes = { ...this.#of(stream), 'spillway.overflow.policy': policy }
      if (dropped > 0) this.#record('spillway.server.dropped_events', dropped, attributes)
    })
    this.on('spillway:stream:conflate', ({ stream, events }) =>
      this.#record('spillway.server.conflated_events', events, this.#of(stream)),
    )
    this.on('spillway:stream:discard', ({ stream, events }) => {
      const reason = stream.closeReason
      const attributes = reason ? { ...this.#of(stream), 'spillway.close.reason': reason } : this.#of(stream)
      this.#record('spillway.server.discarded_events', events, attributes)
    })
    this.on('spillway:stream:drain', ({ stream, lag }) =>
      this.#record('spillway.server.queue.lag', lag / 1000, this.#of(stream)),
    )
  }

  #listenToHubs(): void {
    this.on('spillway:channel:fan-out', ({ entries, subscribers, filtered, deferred }) => {
      this.#record('spillway.server.offered_events', entries.length * subscribers, NONE)
      if (filtered > 0) this.#record('spillway.server.filtered_events', filtered, NONE)
      if (deferred > 0) this.#record('spillway.server.deferred_events', deferred, NONE)
    })
    this.on('spillway:publish:end', ({ duration, error }) =>
      this.#record('spillway.publish.duration', duration / 1000, typeOf(error)),
    )
    this.on('spillway:store:state', ({ store, state }) => this.#open.setState(store, state))
  }

  // A stream may have been opened before the metrics started.
  #of(stream: SseStream): Attributes {
    return this.#open.knownAttributesOf(stream) ?? this.#attributes.of(stream)
  }
}

/** Returns the type of an error as an attribute, or none without an error. */
export function typeOf(error: unknown): Attributes {
  if (error === undefined) return NONE
  const { code, name } = Object(error) as { readonly code?: unknown; readonly name?: unknown }
  const type = [code, name].find((each) => typeof each === 'string' && each !== '')
  return { 'error.type': typeof type === 'string' ? type : '_OTHER' }
}
