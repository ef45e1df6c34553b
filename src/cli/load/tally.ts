import type { SessionCounts } from './http2-transport.ts'
import { emptyLedgerCounts, type LedgerCounts } from './ledger.ts'
import { SampleBuffer } from './sample-buffer.ts'

/**
 * The durations that are measured.
 *
 * - `delay`: from the time of an event to its arrival, for events that were created while the stream was open.
 * - `replayDelay`: the same for events that were created before the connection, and waited for it.
 * - `slowDelay`: the same as `delay`, for streams that read slowly.
 * - `headers` and `firstByte`: from the intended time of a connection to its response headers, and to its first byte.
 * - `heartbeat`: between two heartbeats of a connection.
 * - `opening`: from the start of the run to the response headers of the first connection of a stream.
 */
export const METRICS = [
  ...(['delay', 'replayDelay', 'slowDelay'] as const),
  ...(['headers', 'firstByte', 'heartbeat', 'opening'] as const),
]

export type Metric = (typeof METRICS)[number]

/** Returns a new value for each metric. */
export function byMetric<Value>(create: () => Value): Record<Metric, Value> {
  return Object.fromEntries(METRICS.map((name) => [name, create()])) as Record<Metric, Value>
}

/** Durations in µs since the last batch. */
export type Samples = Partial<Record<Metric, Uint32Array>>

/** Counts of one mix in one worker, since its start. */
export interface Counts extends LedgerCounts, SessionCounts {
  /** Streams that received response headers at least once. */
  opened: number
  /** Streams that are open at present. */
  open: number
  /** Streams that ended permanently, because of a status after which `EventSource` does not reconnect. */
  failed: number
  events: number
  bytes: number
  heartbeats: number
  /** Gap events. */
  gaps: number
  reconnects: number
  /** Reconnections without a last event id, because the server had sent none. */
  reconnectsWithoutId: number
  /** Connections that this tool cut. */
  cuts: number
  /** Responses that the server ended properly. */
  ends: number
  /** Responses with the status 204, which ends a stream properly. */
  noContent: number
  /** Refused connections, broken responses and other failures, by status or error code. */
  readonly errors: Record<string, number>
  /** Events with a time. */
  timed: number
  untimed: number
  /** Events whose time was later than their arrival, which is possible only if clocks differ. */
  early: number
  /** Events with a number. */
  numbered: number
  /** Streams without an event, or without a number although other streams had some. Known at the end. */
  silent: number
  /** Connections that were waiting for their response headers. Known at the end. */
  waiting: number
  /** Connections that were resumed, but received no event afterwards. Known at the end. */
  undecided: number
}

function emptyCounts(): Counts {
  return {
    ...emptyLedgerCounts(),
    ...{ opened: 0, open: 0, failed: 0, events: 0, bytes: 0, heartbeats: 0, gaps: 0, reconnects: 0 },
    ...{ reconnectsWithoutId: 0, cuts: 0, ends: 0, noContent: 0, errors: {}, timed: 0, untimed: 0 },
    ...{ early: 0, numbered: 0, silent: 0, waiting: 0, undecided: 0, sessions: 0, openSessions: 0 },
  }
}

/** The counts of the streams of one mix in one worker. */
export class Tally {
  readonly counts = emptyCounts()
  /** The highest number that a stream has received. */
  highest = -1
  /** The longest time without a byte on an open connection, in ms. */
  longestSilence = 0
  readonly #buffers = byMetric(() => new SampleBuffer())

  /** Adds a duration in ms. */
  record(metric: Metric, ms: number): void {
    this.#buffers[metric].add(ms)
  }

  /** Counts a failure by its status or error code. */
  fail(cause: string): void {
    this.counts.errors[cause] = (this.counts.errors[cause] ?? 0) + 1
  }

  /** Returns the durations since the last call. */
  flush(): Samples {
    const samples: Samples = {}
    for (const name of METRICS) {
      const values = this.#buffers[name].flush()
      if (values) samples[name] = values
    }
    return samples
  }
}

interface NestedCounts {
  [name: string]: number | NestedCounts
}

function addNumbers(sum: NestedCounts, other: NestedCounts): void {
  for (const [name, value] of Object.entries(other)) {
    if (typeof value === 'number') sum[name] = ((sum[name] as number | undefined) ?? 0) + value
    else {
      const nested = (sum[name] ?? {}) as NestedCounts
      sum[name] = nested
      addNumbers(nested, value)
    }
  }
}

/** Returns the sum of counts, for example over workers or mixes. */
export function sumCounts(all: Iterable<Counts>): Counts {
  const sum = emptyCounts()
  for (const each of all) addNumbers(sum as unknown as NestedCounts, each as unknown as NestedCounts)
  return sum
}
