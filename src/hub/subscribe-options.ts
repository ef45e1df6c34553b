import { type Check, isCount, isFunction, optionsOf } from '../check-options.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import type { MaybePromise, Source } from '../event/source.ts'
import type { Gap, OnGap } from '../stream/gap.ts'
import type { SseStream } from '../stream/stream.ts'
import type { Filter } from './filter.ts'

/**
 * Returns the first events of a client, for example the present state from a database. `gap` is undefined for a new client.
 * Events that are published meanwhile follow the snapshot, whether it contains them or not.
 */
export type Snapshot = (stream: SseStream, gap: Gap | undefined) => MaybePromise<Source | undefined>

/**
 * Where a client without a position starts. `now`: with the next event. `start`: with the oldest stored event. `last`: with
 * the newest events of these channels. Any other text: strictly after the event with this id.
 */
export type From = 'now' | 'start' | { readonly last: number } | (string & {})

export interface SubscribeOptions<Events extends EventMap = AnyEvents> {
  /** Called when the client has missed events. What it returns is sent first, instead of the gap event. */
  onGap?: OnGap | undefined
  /** Returns whether the client may see an event. Applies to replayed and to live events. Default: all. */
  filter?: Filter<Events> | undefined
  /**
   * Called for a client without a usable position, that is, a new one or one with a gap. What it returns is sent first; a
   * gap event is then not sent. It may be asynchronous, and no event is lost meanwhile. Default: none.
   */
  snapshot?: Snapshot | undefined
  /**
   * Where a client without a position of its own starts. If the beginning was evicted, that is reported as a gap. Ignored
   * for a client that resumes. Default `now`.
   */
  from?: From | undefined
}

/** The options of one call of `subscribe`. */
export interface OwnOptions extends SubscribeOptions {
  /** Whether the subscription was ended. */
  isRemoved: boolean
}

const checkLast = optionsOf({ last: isCount }, 'last')

const checkFrom: Check = (from) => {
  if (typeof from === 'string') return from === '' ? "'now', 'start', { last: 50 } or an id" : undefined
  return checkLast(from)
}

export const SUBSCRIBE_CHECKS: Readonly<Record<keyof SubscribeOptions, Check>> = {
  onGap: isFunction,
  filter: isFunction,
  snapshot: isFunction,
  from: checkFrom,
}
