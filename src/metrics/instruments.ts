/** The attributes that a point of an instrument may have, by the names of OpenTelemetry. */
export type Attributes = Readonly<Record<string, string>>

/** One instrument, for each library of metrics. */
export interface Instrument {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly unit: 's' | 'By' | '{stream}' | '{event}' | '{gap}' | '{store}'
  readonly description: string
  readonly attributes: readonly string[]
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[]
}

const STREAM = ['spillway.transport', 'spillway.format', 'http.route', 'network.protocol.version']

// The bounds end at an hour, and include 600 s and 900 s, at which some proxies cut streams.
const LIFETIMES = [0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600]
const DELAYS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
// Times of the shared clock are accurate to 0.1 s.
const LAGS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]

/** The instruments whose values are read when they are collected. */
export const OBSERVED = {
  'spillway.server.active_streams': {
    ...{ kind: 'gauge', unit: '{stream}', attributes: STREAM },
    description: 'The number of open streams and held long polls.',
  },
  'spillway.server.queued_events': {
    ...{ kind: 'gauge', unit: '{event}', attributes: STREAM },
    description: 'The number of events and comments in the queues of clients that are behind.',
  },
  'spillway.server.sent_events': {
    ...{ kind: 'counter', unit: '{event}', attributes: STREAM },
    description: 'The number of events written to connections.',
  },
  'spillway.server.sent_bytes': {
    ...{ kind: 'counter', unit: 'By', attributes: STREAM },
    description: 'The bytes of all that was written, before compression.',
  },
  'spillway.store.state': {
    ...{ kind: 'gauge', unit: '{store}', attributes: ['spillway.store.state'] },
    description: 'The number of stores in each state of their connection.',
  },
} as const satisfies Readonly<Record<string, Instrument>>

/** The instruments to which a value is added when something happens. */
export const RECORDED = {
  'spillway.server.stream.duration': {
    ...{ kind: 'histogram', unit: 's', buckets: LIFETIMES },
    attributes: [...STREAM, 'spillway.close.reason', 'error.type'],
    description: 'How long closed streams were open.',
  },
  'spillway.server.time_to_first_byte': {
    ...{ kind: 'histogram', unit: 's', buckets: DELAYS, attributes: STREAM },
    description: 'How long after the creation of a stream its response headers were sent.',
  },
  'spillway.server.dropped_events': {
    ...{ kind: 'counter', unit: '{event}', attributes: [...STREAM, 'spillway.overflow.policy'] },
    description: 'The number of events that full queues dropped.',
  },
  'spillway.server.conflated_events': {
    ...{ kind: 'counter', unit: '{event}', attributes: STREAM },
    description: 'The number of queued events that newer ones with the same key replaced.',
  },
  'spillway.server.discarded_events': {
    ...{ kind: 'counter', unit: '{event}', attributes: [...STREAM, 'spillway.close.reason'] },
    description: 'The number of events that were not written because their stream closed.',
  },
  'spillway.server.queue.lag': {
    ...{ kind: 'histogram', unit: 's', buckets: LAGS, attributes: STREAM },
    description: 'How long clients were behind, until they caught up or closed.',
  },
  'spillway.server.replay.duration': {
    ...{ kind: 'histogram', unit: 's', buckets: LAGS, attributes: [...STREAM, 'error.type'] },
    description: 'How long the replays of clients that reconnected took.',
  },
  'spillway.server.replayed_events': {
    ...{ kind: 'counter', unit: '{event}', attributes: STREAM },
    description: 'The number of stored events that were sent.',
  },
  'spillway.server.gaps': {
    ...{ kind: 'counter', unit: '{gap}', attributes: [...STREAM, 'spillway.gap.reason'] },
    description: 'The number of gaps that clients were notified of.',
  },
  'spillway.server.offered_events': {
    ...{ kind: 'counter', unit: '{event}', attributes: [] },
    description: 'The number of published events, times the subscribers of their channels in this process.',
  },
  'spillway.server.filtered_events': {
    ...{ kind: 'counter', unit: '{event}', attributes: [] },
    description: 'The number of offered events that filters hid.',
  },
  'spillway.server.deferred_events': {
    ...{ kind: 'counter', unit: '{event}', attributes: [] },
    description: 'The number of offered events that were left to a replay.',
  },
  'spillway.publish.duration': {
    ...{ kind: 'histogram', unit: 's', buckets: DELAYS, attributes: ['error.type'] },
    description: 'How long stores took to store published events.',
  },
} as const satisfies Readonly<Record<string, Instrument>>

export type ObservedName = keyof typeof OBSERVED
export type RecordedName = keyof typeof RECORDED
