import { type Check, isCount, isFunction, optionsOf } from '../check-options.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import type { MaybePromise, Source } from '../event/source.ts'
import type { Gap, OnGap } from '../stream/gap.ts'
import type { SseStream } from '../stream/stream.ts'
import type { Filter } from './filter.ts'

/**
 * Returns the first events of a client, for example the present state from a database. `gap` is undefined for a new
 * client. Events that are published meanwhile follow the snapshot, whether it contains them or not.
 */
export type Snapshot = (
  stream: SseStream,
  gap: Gap | undefined,
  // biome-ignore lint/suspicious/noConfusingVoidType: a snapshot that sends its events itself returns nothing.
) => MaybePromise<Source | undefined | void>

/**
 * Where a client without a position starts. `now`: with the next event. `start`: with the oldest stored event. `last`:
 * with the newest events of these channels. Any other text: strictly after the event with this id.
 */
export type From = 'now' | 'start' | { readonly last: number } | (string & {})

export interface SubscribeOptions<Events extends EventMap = AnyEvents> {
  /** Called when the client has missed events. The events that it returns are sent first, instead of the gap event. */
  onGap?: OnGap | undefined
  /** Returns whether the client may see an event. Applies to replayed and to live events. Default: all. */
  filter?: Filter<Events> | undefined
  /**
   * Called for a client without a usable position, that is, a new one or one with a gap. The events that it returns are
   * sent first. A gap event is then not sent. The function MAY be asynchronous, and no event is lost meanwhile.
   * Default: none.
   */
  snapshot?: Snapshot | undefined
  /**
   * Where a client without a position of its own starts. An evicted beginning is reported as a gap. Ignored for a
   * client that resumes. Default `now`.
   */
  from?: From | undefined
}

/** The options of one call of `subscribe`. */
export interface OwnOptions extends SubscribeOptions {
  /** Whether the subscription was ended. */
  isRemoved: boolean
}

/** Returns a copy, so that the end of one subscription does not affect another one with the same options. */
export function ownOptions({ onGap, filter, snapshot, from }: SubscribeOptions): OwnOptions {
  // A small object, because each subscription keeps one and most subscriptions have no options.
  if (!onGap && !filter && !snapshot && from === undefined) return { isRemoved: false }
  return { onGap, filter, snapshot, from, isRemoved: false }
}

const checkLast = optionsOf({ last: isCount }, 'last')

// An empty text, and words that are meant as a position but are no id.
const WORDS = /^(?:now|start|begin|beginning|end|first|last|latest|newest|oldest|earliest|live|all)?$/i

const checkFrom: Check = (from, path) => {
  if (from === 'now' || from === 'start') return undefined
  // As an id, such a word would be a gap for each new client.
  const isWrong = typeof from === 'string' ? WORDS.test(from) : checkLast(from, path)
  return isWrong ? "'now', 'start', { last: 50 } or an id" : undefined
}

export const SUBSCRIBE_CHECKS: Readonly<Record<keyof SubscribeOptions, Check>> = {
  onGap: isFunction,
  filter: isFunction,
  snapshot: isFunction,
  from: checkFrom,
}
