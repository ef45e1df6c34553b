import type { LoadReport } from './report.ts'

/** Whether a figure of the result meets its limit. */
export interface Verdict {
  /** The flag without dashes. */
  readonly name: ThresholdName
  /** In ms if it is a duration. */
  readonly limit: number
  /** Null if it was not measured, which meets no limit. */
  readonly value: number | null
  readonly isMet: boolean
}

type Measured = Omit<LoadReport, 'thresholds'>

interface Threshold {
  readonly unit: 'ms' | ''
  readonly value: (report: Measured) => number | null | undefined
}

/** The flags of limits, each with its figure in a report. Flags that begin with `min` are lower limits. */
export const THRESHOLDS = {
  'max-p50': { unit: 'ms', value: ({ delays }) => delays.live?.p50 },
  'max-p90': { unit: 'ms', value: ({ delays }) => delays.live?.p90 },
  'max-p99': { unit: 'ms', value: ({ delays }) => delays.live?.p99 },
  'max-p999': { unit: 'ms', value: ({ delays }) => delays.live?.p999 },
  'max-lost': { unit: '', value: ({ sequence }) => sequence?.lost },
  'max-duplicates': { unit: '', value: ({ sequence }) => sequence?.duplicates },
  'max-out-of-order': { unit: '', value: ({ sequence }) => sequence?.outOfOrder },
  'max-gaps': { unit: '', value: ({ events }) => (events.received === 0 ? null : events.gaps) },
  'max-errors': {
    unit: '',
    value: ({ connections: { errors }, streams: { opened } }) => (opened + errors === 0 ? null : errors),
  },
  'max-silent': { unit: '', value: ({ streams }) => (streams.opened === 0 ? null : streams.silent) },
  'min-streams': { unit: '', value: ({ streams }) => streams.openAtEnd },
} as const satisfies Record<string, Threshold>

export type ThresholdName = keyof typeof THRESHOLDS

/** Limits in ms or as counts. */
export type Limits = Partial<Record<ThresholdName, number>>

/** Returns whether a report meets each limit. */
export function judge(report: Measured, limits: Limits): Verdict[] {
  return (Object.entries(limits) as Array<[ThresholdName, number]>).map(([name, limit]) => {
    const value = THRESHOLDS[name].value(report) ?? null
    const isMet = value !== null && (name.startsWith('min-') ? value >= limit : value <= limit)
    return { name, limit, value, isMet }
  })
}
