import {
  between,
  type Check,
  isCount,
  isFunction,
  isTime,
  MAX_TIME,
  oneOf,
  optionsOf,
  type SettingsOf,
} from '../check-options.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import type { Frame } from '../event/frame.ts'
import type { Serialize } from '../formats/event-fields.ts'
import { eventStream } from '../formats/event-stream.ts'
import type { Format } from '../formats/format.ts'
import type { Overflow } from './backlog.ts'
import type { OnGap } from './gap.ts'
import type { RateLimit } from './rate-limit.ts'
import type { Replay } from './replay.ts'

/** Times are in ms; 0 turns a time off. */
export interface StreamOptions<Events extends EventMap = AnyEvents> {
  /**
   * How long a client waits before it reconnects. Each client gets a random time from this to twice this, so that
   * thousands do not reconnect at the same instant. Default 2 000.
   */
  retry?: number | undefined
  /** A comment is sent after this time without another write. Default 15 000. */
  heartbeat?: number | undefined
  /**
   * The most bytes that are queued for a client that reads slowly, with the unwritten rest of a large event. A larger
   * event is queued if the queue is empty, and counts as at most half of the limit while it is written. Default 1 MiB.
   */
  maxBufferedBytes?: number | undefined
  /** The most events that are queued for a client that reads slowly. Default 10 000. */
  maxBufferedEvents?: number | undefined
  /**
   * The policy for a full queue. `close` (default): the client is disconnected, reconnects and resumes. `drop-oldest`,
   * `drop-newest`: events are dropped, and `drop` is emitted with their number. `conflate`: only the newest event of
   * each `key` stays queued; the stream closes if even these are too many.
   */
  overflow?: Overflow | undefined
  /** A client is disconnected if it has read nothing for this time while data is queued. Default 30 000. */
  stallTimeout?: number | undefined
  /** How fast events are sent, for clients that cannot show them faster. Accurate to 0.1 s. Default: no limit. */
  rateLimit?: RateLimit | undefined
  /** Events are collected for this time and sent in one write. Accurate to 0.1 s. Default 0: for one turn. */
  flushInterval?: number | undefined
  /** The stream is closed after this time, or up to a tenth earlier, and the client reconnects. Default 0: never. */
  maxDuration?: number | undefined
  /**
   * Name of the event that is sent before `expiresAt`, with the data `{ expiresAt, expiresIn }`, where the latter is in
   * ms. False sends none. Default `expiring`.
   */
  expiringEvent?: string | false | undefined
  /** How long before `expiresAt` that event is sent. Default 30 000. */
  expiringNotice?: number | undefined
  /** Serializes data that is not a string. Default `JSON.stringify`. */
  serialize?: Serialize | undefined
  /** Returns the events that a client has missed since its last event id, or `'gap'` if that is impossible. */
  replay?: Replay<Events> | undefined
  /** The most events that are replayed on one connection. The client resumes after them. Default 10 000. */
  maxReplayEvents?: number | undefined
  /** Called when a client has missed events. The events that it returns are sent first, instead of the gap event. */
  onGap?: OnGap<Events> | undefined
  /** Name of the event that reports a gap to the client. False sends none. Default `gap`. */
  gapEvent?: string | false | undefined
}

/** How the response to a long poll is collected. Times are in ms. */
export interface LongPollSettings {
  /** The longest time without an event. */
  readonly hold: number
  /** How long events are collected after the first live one. */
  readonly collect: number
  /** The most events of a response. */
  readonly pageSize: number
}

/** Options with every default filled in. */
export type StreamSettings = SettingsOf<StreamOptions, 'rateLimit' | 'replay' | 'onGap'> & Representation

/** How the events of one stream are written, which depends on its request. */
export interface Representation {
  readonly format: Format
  /** Undefined for a response that is sent event by event. */
  readonly poll?: LongPollSettings | undefined
  /** A large comment that is sent with each heartbeat, for proxies that hold back small ones. */
  readonly padding?: Frame | undefined
}

export const STREAM_DEFAULTS: StreamSettings = {
  format: eventStream,
  retry: 2_000,
  heartbeat: 15_000,
  maxBufferedBytes: 1024 * 1024,
  maxBufferedEvents: 10_000,
  overflow: 'close',
  stallTimeout: 30_000,
  rateLimit: undefined,
  flushInterval: 0,
  maxDuration: 0,
  expiringEvent: 'expiring',
  expiringNotice: 30_000,
  serialize: JSON.stringify,
  replay: undefined,
  maxReplayEvents: 10_000,
  onGap: undefined,
  gapEvent: 'gap',
}

const isPositive: Check = (value) =>
  Number(value) > 0 && Number.isFinite(value) ? undefined : 'a number above 0'

const RATE_LIMIT_CHECKS = {
  eventsPerSecond: isPositive,
  burst: between(1, MAX_TIME),
  excess: oneOf('delay', 'conflate'),
}

export const STREAM_CHECKS: Readonly<Record<keyof StreamOptions, Check>> = {
  retry: isTime,
  heartbeat: isTime,
  maxBufferedBytes: isCount,
  maxBufferedEvents: isCount,
  overflow: oneOf('close', 'drop-oldest', 'drop-newest', 'conflate'),
  stallTimeout: isTime,
  rateLimit: optionsOf(RATE_LIMIT_CHECKS, 'eventsPerSecond'),
  flushInterval: isTime,
  maxDuration: isTime,
  expiringEvent: checkEventName,
  expiringNotice: isTime,
  serialize: isFunction,
  replay: isFunction,
  maxReplayEvents: isCount,
  onGap: isFunction,
  gapEvent: checkEventName,
}

/** Whether a value can be the name of an event. */
export function isEventName(value: unknown): boolean {
  return typeof value === 'string' && /^[^\r\n\0]+$/.test(value)
}

/** Checks an option that is the name of an event, or false. */
export function checkEventName(value: unknown) {
  return value === false || isEventName(value) ? undefined : 'an event name or false'
}
