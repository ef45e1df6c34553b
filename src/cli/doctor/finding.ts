import type { Protocol } from '../protocol.ts'
import type { FindingCode } from './catalog.ts'

/** `problem`: events are lost or late. `warning`: that happens in some environments. `note`: worth knowing. */
export type Level = 'problem' | 'warning' | 'note'

/** All levels, the worst one first. */
export const LEVELS: readonly Level[] = ['problem', 'warning', 'note']

/** One result of an examination. */
export interface Finding {
  /** Stable. Each has a page: `docs/doctor/<code>.md`. */
  readonly code: FindingCode
  readonly level: Level
  /** One line with the figure, for example `The headers took 2 140 ms.` */
  readonly message: string
  /** The consequence for users. */
  readonly meaning: string
  /** The change that avoids it. */
  readonly advice: string
}

/** The result of an examination. */
export interface Report {
  readonly url: string
  /** When the examination began, as an ISO 8601 time. */
  readonly startedAt: string
  /** In ms. */
  readonly duration: number
  /** The protocols over which the endpoint responded. */
  readonly protocols: readonly Protocol[]
  readonly status: number | undefined
  /** The response headers of the stream by name in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** The proxies and servers that the response headers name, for example `nginx` or `Cloudflare`. */
  readonly proxies: readonly string[]
  /** The time from the request to the response headers, in ms. Undefined if they did not arrive. */
  readonly timeToHeaders: number | undefined
  readonly timeToFirstByte: number | undefined
  /** How many events and comments arrived on the stream. */
  readonly events: number
  readonly comments: number
  /** The longest time between two writes on the stream, in ms. */
  readonly longestSilence: number | undefined
  /** Problems first, then warnings, then notes. */
  readonly findings: readonly Finding[]
}
