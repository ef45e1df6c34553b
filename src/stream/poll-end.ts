import { clock } from '../scheduler/clock.ts'
import { NEVER } from '../scheduler/jitter.ts'
import type { LongPollSettings } from './options.ts'

/** The response to a long poll ends with the event that reaches this many bytes. */
export const MAX_PAGE_BYTES = 256 * 1024

/** What the response to a long poll has so far. */
export interface SentPage {
  readonly sentEvents: number
  readonly sentBytes: number
  /** How many replays are still to be sent. The page of a replay ends when it is full or complete. */
  readonly holds: number
}

/** Returns when the response to a long poll ends, in ms on the clock. 0: now. */
export function pollEndsAt({ collect, pageSize }: LongPollSettings, page: SentPage): number {
  if (page.sentEvents >= pageSize || page.sentBytes >= MAX_PAGE_BYTES) return 0
  return page.sentEvents > 0 && page.holds === 0 ? clock.now + collect : NEVER
}
