import type { Protocol } from '../protocol.ts'
import type { Address } from './address.ts'
import type { DataFields } from './data-reader.ts'
import type { Counts, Samples } from './tally.ts'
import type { WorkerLoad } from './worker-load.ts'

/** A fraction of the streams with a separate URL and headers. */
export interface Mix {
  readonly name: string
  readonly url: string
  /** The only address to which connections are opened. */
  readonly address: Address
  readonly headers: Readonly<Record<string, string>>
  readonly protocol: Protocol
  /** How many streams share a connection. More than one is possible only over HTTP/2. */
  readonly streamsPerConnection: number
  /** Its fraction of all streams, between 0 and 1. The sum of all shares is 1. */
  readonly share: number
  /** The fraction of its streams that read slowly, between 0 and 1. */
  readonly slow: number
}

/** The plan of all workers. Each worker has every `workers`-th stream, and its part of the rates. */
export interface Plan {
  readonly mixes: readonly Mix[]
  readonly streams: number
  readonly workers: number
  /** How many streams are opened per second. */
  readonly rate: number
  /** How many connections are cut per second. */
  readonly churn: number
  /** How fast a slow stream reads, in bytes per second. */
  readonly slowRate: number
  /** The reconnection time of `EventSource` until the server sends another one, in ms. */
  readonly retry: number
  readonly gapEvent: string
  readonly fields: DataFields
  /** False if the events of each connection are numbered separately. */
  readonly isSharedSequence: boolean
  /** Whether a certificate that cannot be verified is accepted. */
  readonly isInsecure: boolean
}

/** The messages from the parent process to a worker, in order. */
export type ParentMessage =
  /** Opens the first stream at a time of `sharedNow`. */
  | { readonly type: 'start'; readonly plan: Plan; readonly worker: number; readonly startAt: number }
  /** Notes the number of a probe that was not published. */
  | { readonly type: 'unpublished'; readonly number: number }
  /** Ends opening and cutting, and sends a report. */
  | { readonly type: 'settle' }
  /** Waits until the open streams have the highest number of each mix, and sends the last report. */
  | {
      readonly type: 'finish'
      readonly highest: readonly number[]
      /** The longest time to wait, in ms. */
      readonly wait: number
    }

/** The messages from a worker to the parent process. */
export type WorkerMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'batch' | 'settled' | 'final'; readonly report: WorkerReport }

/** The counts of a worker, for each mix in the order of the plan. */
export interface WorkerReport {
  readonly mixes: ReadonlyArray<{
    readonly counts: Counts
    readonly samples: Samples
    readonly highest: number
    readonly longestSilence: number
  }>
  readonly load: WorkerLoad
}

/** The mix of a stream, and whether it reads slowly. */
export interface Assignment {
  readonly mix: number
  readonly isSlow: boolean
}

/**
 * Returns the assignments of all streams. Mixes and slow streams alternate according to their shares, so that any first
 * part of the streams has the same mixture.
 */
export function assign(mixes: readonly Mix[], streams: number): Assignment[] {
  const assigned = mixes.map(() => 0)
  return Array.from({ length: streams }, (_, index) => {
    const lacking = mixes.map(({ share }, i) => share * (index + 1) - (assigned[i] ?? 0))
    const mix = lacking.indexOf(Math.max(...lacking))
    const count = assigned[mix] ?? 0
    assigned[mix] = count + 1
    const slow = mixes[mix]?.slow ?? 0
    return { mix, isSlow: Math.floor((count + 1) * slow + 1e-9) > Math.floor(count * slow + 1e-9) }
  })
}
