import { between, type Check, isFunction, MAX_TIME, oneOf, optionsOf } from '../check-options.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import type { Serialize } from '../formats/event-stream.ts'
import type { BacklogLimits, Overflow } from './backlog.ts'
import type { OnGap } from './gap.ts'
import type { RateLimit } from './rate-limit.ts'
import type { Replay } from './replay.ts'

/** Times are milliseconds; 0 turns a time off. */
export interface StreamOptions<Events extends EventMap = AnyEvents> {
  /**
   * How long a client waits before it reconnects. Each client is told a time between this and twice this, so that
   * thousands do not return at the same instant. Default 2 000.
   */
  retry?: number | undefined
  /** A comment is sent when nothing else was for this long. Default 15 000. */
  heartbeat?: number | undefined
  /** The bound of what waits for a client that reads slowly. Default 1 MiB. */
  maxBufferedBytes?: number | undefined
  /** The same in events. Default 10 000. */
  maxBufferedEvents?: number | undefined
  /**
   * What happens at the bound. `close` (default): the client is cut off, reconnects and resumes. `drop-oldest`,
   * `drop-newest`: events are lost, and `drop` tells how many. `conflate`: of what waits only the newest event of
   * each `key` stays, and the stream closes if even these are too many.
   */
  overflow?: Overflow | undefined
  /** A client whose connection has taken nothing for this long, while something waits, is cut off. Default 30 000. */
  stallTimeout?: number | undefined
  /** How fast events may leave, for clients that cannot show them faster. Kept to a tenth of a second. Default: none. */
  rateLimit?: RateLimit | undefined
  /** Events are gathered for this long and leave in one write. Kept to a tenth of a second. Default 0: for one turn. */
  flushInterval?: number | undefined
  /** The stream is ended after this time, or up to a tenth of it earlier; the client reconnects. Default 0: never. */
  maxDuration?: number | undefined
  /** Turns data that is not a string into one. Default `JSON.stringify`. */
  serialize?: Serialize | undefined
  /** Yields what a client missed after its last event id, or says that this cannot be told: `'gap'`. */
  replay?: Replay<Events> | undefined
  /** At most so many events are replayed on one connection; the client resumes after them. Default 10 000. */
  maxReplayEvents?: number | undefined
  /** Called when events were lost for a client. What it returns is sent first, in place of the gap event. */
  onGap?: OnGap<Events> | undefined
  /** Name of the event that tells a client of a gap. False sends none. Default `gap`. */
  gapEvent?: string | false | undefined
}

/** Options with every default filled in. */
export interface StreamSettings extends BacklogLimits {
  readonly retry: number
  readonly heartbeat: number
  readonly stallTimeout: number
  readonly rateLimit: RateLimit | undefined
  readonly flushInterval: number
  readonly maxDuration: number
  readonly serialize: Serialize
  readonly replay: Replay | undefined
  readonly maxReplayEvents: number
  readonly onGap: OnGap | undefined
  readonly gapEvent: string | false
}

export const STREAM_DEFAULTS: StreamSettings = Object.freeze({
  retry: 2_000,
  heartbeat: 15_000,
  maxBufferedBytes: 1024 * 1024,
  maxBufferedEvents: 10_000,
  overflow: 'close',
  stallTimeout: 30_000,
  rateLimit: undefined,
  flushInterval: 0,
  maxDuration: 0,
  serialize: JSON.stringify,
  replay: undefined,
  maxReplayEvents: 10_000,
  onGap: undefined,
  gapEvent: 'gap',
})

export const STREAM_CHECKS: Readonly<Record<keyof StreamSettings, Check>> = {
  retry: between(0, MAX_TIME),
  heartbeat: between(0, MAX_TIME),
  maxBufferedBytes: between(1, Number.MAX_SAFE_INTEGER),
  maxBufferedEvents: between(1, Number.MAX_SAFE_INTEGER),
  overflow: oneOf('close', 'drop-oldest', 'drop-newest', 'conflate'),
  stallTimeout: between(0, MAX_TIME),
  rateLimit: checkRateLimit,
  flushInterval: between(0, MAX_TIME),
  maxDuration: between(0, MAX_TIME),
  serialize: isFunction,
  replay: isFunction,
  maxReplayEvents: between(1, Number.MAX_SAFE_INTEGER),
  onGap: isFunction,
  gapEvent: checkGapEvent,
}

function checkRateLimit(limit: unknown) {
  const demand = 'an object with eventsPerSecond'
  const positive: Check = (value) =>
    Number(value) > 0 && Number.isFinite(value) ? undefined : 'a number above 0'
  const check = optionsOf(
    { eventsPerSecond: positive, burst: between(1, MAX_TIME), excess: oneOf('delay', 'conflate') },
    demand,
  )
  return check(limit) ?? ((limit as RateLimit).eventsPerSecond === undefined ? demand : undefined)
}

/** For an option that names the event of a gap. */
export function checkGapEvent(value: unknown) {
  const usable = value === false || (typeof value === 'string' && /^[^\r\n\0]+$/.test(value))
  return usable ? undefined : 'an event name or false'
}
