import type { FindingCode } from './catalog.ts'

/** `problem`: events are lost, late or not delivered. `warning`: they will be in some places. `note`: worth knowing. */
export type Level = 'problem' | 'warning' | 'note'

/** All levels, the worst one first. */
export const LEVELS: readonly Level[] = ['problem', 'warning', 'note']

/** What an examination has found. */
export interface Finding {
  /** Stable. Each has a page: `docs/doctor/<code>.md`. */
  readonly code: FindingCode
  readonly level: Level
  /** One line with the figure, for example `The headers took 2 140 ms.` */
  readonly message: string
  /** What it means for users. */
  readonly meaning: string
  /** What to change. */
  readonly advice: string
}

/** The result of an examination. */
export interface Report {
  readonly url: string
  /** When the examination began, as an ISO 8601 time. */
  readonly startedAt: string
  /** In ms. */
  readonly duration: number
  /** Those over which the endpoint responded. */
  readonly protocols: readonly ('HTTP/1.1' | 'HTTP/2')[]
  readonly status: number | undefined
  /** The response headers of the stream by name in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** What the response headers name as proxies and servers on the way, for example `nginx` or `Cloudflare`. */
  readonly proxies: readonly string[]
  /** In ms after the request. Undefined if they did not arrive. */
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
