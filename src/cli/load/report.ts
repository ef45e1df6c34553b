import type { Protocol } from '../protocol.ts'
import type { Durations } from './durations.ts'
import type { Figures } from './figures.ts'
import type { LedgerCounts } from './ledger.ts'
import type { Mix } from './plan.ts'
import { type Counts, METRICS, type Metric } from './tally.ts'
import type { Verdict } from './thresholds.ts'
import type { WorkerLoad } from './worker-load.ts'

/** The result of a run, as `--json` prints it. Times are in ms. A figure that was not measured is null. */
export interface LoadReport {
  /** The version of this schema. A later version has all fields of an earlier one, unless this number is increased. */
  readonly version: 1
  readonly url: string
  /** The protocols of the streams. Only a scenario with several mixes has more than one. */
  readonly protocols: readonly Protocol[]
  /** As an ISO 8601 time. */
  readonly startedAt: string
  /** The time from the first intended opening to the end. */
  readonly elapsed: number
  /** True if Ctrl-C ended the run early. */
  readonly isInterrupted: boolean
  /** The reason why no durations are reported. Null if all processes were fast enough. */
  readonly refusal: string | null
  readonly streams: {
    readonly planned: number
    readonly opened: number
    readonly openAtEnd: number
    readonly failed: number
    /** Streams without an event, or without a number although other streams had some. */
    readonly silent: number
    /** Connections without response headers at the end. */
    readonly waiting: number
    readonly plannedRate: number
    /** How many streams were opened per second. */
    readonly reachedRate: number | null
  }
  readonly connections: {
    readonly headers: Durations | null
    readonly firstByte: Durations | null
    /** Connections of HTTP/2, which streams may share. Null without them. */
    readonly sessions: { readonly opened: number; readonly openAtEnd: number } | null
    readonly reconnects: number
    readonly reconnectsWithoutId: number
    readonly cuts: number
    readonly ends: number
    readonly noContent: number
    readonly errors: number
    readonly errorsByCause: Readonly<Record<string, number>>
  }
  readonly events: {
    readonly received: number
    readonly bytes: number
    readonly perSecond: number
    readonly gaps: number
    readonly untimed: number
    readonly early: number
  }
  readonly delays: {
    /** `probe` or `data`. Null if no event had a time. */
    readonly source: 'probe' | 'data' | null
    readonly live: Durations | null
    readonly replayed: Durations | null
    readonly slowStreams: Durations | null
  }
  /** Null if no event had a number. */
  readonly sequence: Omit<LedgerCounts, 'resumes'> | null
  /** Null if no event had a number. */
  readonly resumes: (LedgerCounts['resumes'] & { readonly undecided: number }) | null
  readonly heartbeats: {
    readonly received: number
    readonly interval: Durations | null
    /** The 99th percentile of the interval minus its median. */
    readonly jitter: number | null
    readonly longestSilence: number | null
  }
  /** Null without a probe. */
  readonly probes: {
    readonly published: number
    readonly failed: number
    /** Probes that were due at the end, but not published. */
    readonly waiting: number
    readonly failure: string | null
    readonly lateness: Durations | null
  } | null
  readonly workers: readonly WorkerLoad[]
  /** Figures of each mix. Empty if there is only one. */
  readonly mixes: readonly MixReport[]
  readonly thresholds: readonly Verdict[]
}

/** The figures of one mix. */
export interface MixReport {
  readonly name: string
  readonly url: string
  readonly protocol: Protocol
  readonly opened: number
  readonly openAtEnd: number
  readonly events: number
  readonly gaps: number
  readonly errors: number
  readonly delay: Durations | null
  readonly sequence: Omit<LedgerCounts, 'resumes'> | null
}

/** The facts of a run, besides the figures of the workers. */
export interface RunFacts {
  readonly url: string
  readonly startedAt: number
  readonly elapsed: number
  readonly isInterrupted: boolean
  readonly refusal: string | undefined
  readonly planned: number
  readonly plannedRate: number
  readonly openAtEnd: OpenAtEnd
  readonly mixes: readonly Mix[]
  readonly probes: LoadReport['probes']
}

const DELAYS: readonly Metric[] = ['delay', 'replayDelay', 'slowDelay']

/**
 * True if over a hundredth of the events arrived before their time. Then the clocks differ, and all delays are wrong.
 */
function isClockWrong({ early, timed }: { readonly early: number; readonly timed: number }): boolean {
  return early > timed / 100
}

/** The number of open streams and connections at the end, before the workers closed them. */
export interface OpenAtEnd {
  /** By mix. */
  readonly streams: readonly number[]
  readonly sessions: number
}

type Read = (metric: Metric, mix?: number) => Durations | null

/** Returns the report of a run, without thresholds. */
export function reportOf(figures: Figures, facts: RunFacts): Omit<LoadReport, 'thresholds'> {
  const counts = figures.counts()
  const { startedAt, elapsed, refusal, probes } = facts
  const refused = refusal !== undefined ? METRICS : isClockWrong(counts) ? DELAYS : []
  const read: Read = (metric, mix) => (!refused.includes(metric) && figures.durations(metric, mix)) || null
  return {
    version: 1,
    url: facts.url,
    protocols: [...new Set(facts.mixes.map(({ protocol }) => protocol))],
    startedAt: new Date(startedAt).toISOString(),
    elapsed: Math.round(elapsed),
    isInterrupted: facts.isInterrupted,
    refusal: refusal ?? null,
    streams: streamsOf(counts, figures, facts),
    connections: {
      headers: read('headers'),
      firstByte: read('firstByte'),
      sessions: sessionsOf(counts, facts),
      ...connectionsOf(counts),
    },
    events: eventsOf(counts, elapsed),
    delays: {
      source: counts.timed === 0 ? null : probes ? 'probe' : 'data',
      live: read('delay'),
      replayed: read('replayDelay'),
      slowStreams: read('slowDelay'),
    },
    sequence: sequenceOf(counts),
    resumes: counts.numbered === 0 ? null : { ...counts.resumes, undecided: counts.undecided },
    heartbeats: heartbeatsOf(
      counts,
      read('heartbeat'),
      refusal === undefined ? figures.longestSilence : null,
    ),
    probes: probes && (refusal === undefined ? probes : { ...probes, lateness: null }),
    workers: figures.loads.map(roundedLoad),
    mixes: facts.mixes.length === 1 ? [] : mixesOf(figures, facts, read),
  }
}

/** Returns the number of all errors. */
export function errorsOf({ errors }: Counts): number {
  return Object.values(errors).reduce((sum, count) => sum + count, 0)
}

function streamsOf(counts: Counts, figures: Figures, facts: RunFacts): LoadReport['streams'] {
  const { planned, plannedRate, openAtEnd } = facts
  const { opened, failed, silent, waiting } = counts
  const opening = figures.durations('opening')
  return {
    ...{ planned, opened, failed, silent, waiting, plannedRate },
    openAtEnd: openAtEnd.streams.reduce((sum, count) => sum + count, 0),
    // Omits the last hundredth, because a single straggler does not represent the others.
    reachedRate: opening ? rounded((opening.count * 0.99) / (opening.p99 / 1000)) : null,
  }
}

function connectionsOf(
  counts: Counts,
): Omit<LoadReport['connections'], 'headers' | 'firstByte' | 'sessions'> {
  const { reconnects, reconnectsWithoutId, cuts, ends, noContent, errors } = counts
  return {
    ...{ reconnects, reconnectsWithoutId, cuts, ends, noContent },
    errors: errorsOf(counts),
    errorsByCause: errors,
  }
}

function sessionsOf(
  { sessions }: Counts,
  { mixes, openAtEnd }: RunFacts,
): LoadReport['connections']['sessions'] {
  if (mixes.every(({ protocol }) => protocol === 'HTTP/1.1')) return null
  return { opened: sessions, openAtEnd: openAtEnd.sessions }
}

function sequenceOf({ numbered, lost, lostInGaps, duplicates, outOfOrder }: Counts): LoadReport['sequence'] {
  return numbered === 0 ? null : { lost, lostInGaps, duplicates, outOfOrder }
}

function eventsOf(counts: Counts, elapsed: number): LoadReport['events'] {
  const { events, bytes, gaps, untimed, early } = counts
  return {
    received: events,
    bytes,
    perSecond: elapsed > 0 ? rounded(events / (elapsed / 1000)) : 0,
    gaps,
    untimed,
    early,
  }
}

function heartbeatsOf(
  { heartbeats, opened }: Counts,
  interval: Durations | null,
  longestSilence: number | null,
): LoadReport['heartbeats'] {
  return {
    received: heartbeats,
    interval,
    jitter: interval && rounded(interval.p99 - interval.p50),
    longestSilence: longestSilence === null || opened === 0 ? null : rounded(longestSilence),
  }
}

function mixesOf(figures: Figures, { mixes, openAtEnd }: RunFacts, read: Read): MixReport[] {
  return mixes.map(({ name, url, protocol }, index) => {
    const counts = figures.counts(index)
    return {
      ...{ name, url, protocol },
      opened: counts.opened,
      openAtEnd: openAtEnd.streams[index] ?? 0,
      events: counts.events,
      gaps: counts.gaps,
      errors: errorsOf(counts),
      delay: read('delay', index),
      sequence: sequenceOf(counts),
    }
  })
}

function roundedLoad({ utilization, loopDelay, ownDelay }: WorkerLoad): WorkerLoad {
  return { utilization: rounded(utilization), loopDelay: rounded(loopDelay), ownDelay: rounded(ownDelay) }
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
