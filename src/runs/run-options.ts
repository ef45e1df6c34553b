import {
  between,
  type Check,
  checkOptions,
  isCount,
  isFunction,
  isTime,
  MAX_TIME,
  type SettingsOf,
} from '../check-options.ts'
import { SseError } from '../errors.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import type { Serialize } from '../formats/event-fields.ts'
import type { RunStore } from '../stores/run-store.ts'
import type { OnGap } from '../stream/gap.ts'
import { checkEventName } from '../stream/options.ts'
import type { Merge } from './merge.ts'
import { checkEndEvent, type EndEvent } from './run-end.ts'

/** Limits of a run. Times are in ms. */
export interface RunLimits {
  /** How many events are kept. A subscriber that misses evicted ones gets a gap. Default 100 000. */
  maxEvents?: number | undefined
  /** The size of the kept events: the characters of their data and names. Default 16 MiB. */
  maxBytes?: number | undefined
  /** How long a run is kept after its end. Default 3 600 000. */
  keep?: number | undefined
  /** How long a run is kept in total. A source that takes longer is stopped. Default 86 400 000. */
  maxAge?: number | undefined
  /** Stops a run that has had no subscriber in any process for this long. 0: never. Default 0. */
  abandonAfter?: number | undefined
}

export interface RunsOptions extends RunLimits {
  /** Where runs are kept. Default `memoryRuns()`. */
  store?: RunStore | undefined
  /**
   * After this time in ms, a run whose process has died or was frozen ends as `lost`. At least 1 000. The same in all
   * processes. Default 15 000.
   */
  lease?: number | undefined
  /** How long a source may take to close after its signal has aborted, in ms. Default 5 000. */
  closeTimeout?: number | undefined
  /**
   * The least time between two appends of a run, in ms. Events that its source yields within it are appended together,
   * which delays them and takes fewer commands and less CPU. The first one after a longer time, and the end, are not
   * delayed. Default 0.
   */
  flushInterval?: number | undefined
  /** Serializes data that is not a string. Default `JSON.stringify`. */
  serialize?: Serialize | undefined
  /**
   * The last event of a run: its name, with a `RunEnd` as data, or a function that returns it, or several. Default
   * `end`.
   */
  endEvent?: EndEvent | undefined
  /** Returns the text about an error of a source that subscribers receive. Default: nothing. */
  errorMessage?: ((error: unknown) => string | undefined) | undefined
  /** Name of the event that reports a gap to the client. False sends none. Default `gap`. */
  gapEvent?: string | false | undefined
  /** Joins neighbouring events of a replay. Default: none. */
  merge?: Merge | undefined
}

export type RunLimitSettings = SettingsOf<RunLimits>

export interface RunSettings extends RunLimitSettings {
  readonly serialize: Serialize
  readonly endEvent: EndEvent
  readonly errorMessage: (error: unknown) => string | undefined
  readonly gapEvent: string | false
  readonly closeTimeout: number
  readonly flushInterval: number
  readonly lease: number
  readonly merge?: Merge | undefined
}

export interface RunSubscribeOptions<Events extends EventMap = AnyEvents> {
  /** Called for a gap. It may return events, for example a snapshot, which are sent instead of the gap event. */
  onGap?: OnGap<Events> | undefined
}

const MIN_LEASE = 1_000
const MAX_FLUSH_INTERVAL = 10_000

export const RUN_LIMIT_CHECKS: Readonly<Record<keyof RunLimits, Check>> = {
  maxEvents: isCount,
  maxBytes: isCount,
  keep: between(1, MAX_TIME),
  maxAge: between(1, MAX_TIME),
  abandonAfter: isTime,
}

export const SUBSCRIBE_RUN_CHECKS = { onGap: isFunction }

const CHECKS: Readonly<Record<keyof RunsOptions, Check>> = {
  ...RUN_LIMIT_CHECKS,
  store: checkStore,
  lease: between(MIN_LEASE, MAX_TIME),
  closeTimeout: isTime,
  flushInterval: between(0, MAX_FLUSH_INTERVAL),
  serialize: isFunction,
  endEvent: checkEndEvent,
  errorMessage: isFunction,
  gapEvent: checkEventName,
  merge: isFunction,
}

const DEFAULTS = {
  maxEvents: 100_000,
  maxBytes: 16 * 1024 * 1024,
  keep: 3_600_000,
  maxAge: 86_400_000,
  abandonAfter: 0,
  lease: 15_000,
  closeTimeout: 5_000,
  flushInterval: 0,
  serialize: JSON.stringify as Serialize,
  endEvent: 'end' as EndEvent,
  errorMessage: (_: unknown): string | undefined => undefined,
  gapEvent: 'gap' as string | false,
}

/** Returns the settings of `Runs`, and the store if there is one. Throws `SseError` `ERR_SSE_OPTION`. */
export function resolveRunsOptions(
  options: RunsOptions,
): RunSettings & { readonly store?: RunStore | undefined } {
  if (!checkStore(options)) {
    const message = 'Pass the store as an option, for example new Runs({ store }).'
    throw new SseError('ERR_SSE_OPTION', message)
  }
  return { ...DEFAULTS, ...checkOptions(options, CHECKS) }
}

const STORE_METHODS = [
  ...(['start', 'append', 'find', 'read', 'watch', 'isWatched', 'remove'] as const),
  ...(['serve', 'renew', 'isAlive', 'requestStop', 'close'] as const),
]

/** Checks an option that is a store of runs. */
function checkStore(store: unknown): string | undefined {
  const of = Object(store) as Partial<RunStore>
  const isStore = STORE_METHODS.every((name) => typeof of[name] === 'function')
  return isStore ? undefined : `a store of runs such as memoryRuns(), with ${STORE_METHODS.join(', ')}`
}
