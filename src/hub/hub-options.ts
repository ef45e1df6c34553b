import { isCount, isFunction, oneOf } from '../check-options.ts'
import type { Serialize } from '../formats/event-fields.ts'
import type { EventStore } from '../stores/event-store.ts'
import { checkEventName } from '../stream/options.ts'
import type { SourceRunner } from './channel-feed.ts'
import type { Deserialize } from './entry-owner.ts'
import type { Positions } from './positions.ts'

export interface HubOptions {
  /** Assigns ids to events and keeps them so that they can be read again. Default `memoryStore()`. */
  store?: EventStore | undefined
  /** Serializes data that is not a string. Default `JSON.stringify`. */
  serialize?: Serialize | undefined
  /**
   * Returns the data of a text that `serialize` returned, for filters. Called once per event, and only if a client has
   * a filter. If it throws, these clients do not receive the event, and the hub emits `error`. Default: `JSON.parse`,
   * and the text itself if it is not JSON.
   */
  deserialize?: Deserialize | undefined
  /** Name of the event that reports a gap to the client. False sends none. Default `gap`. */
  gapEvent?: string | false | undefined
  /**
   * How a client is sent its position in the log, from which it resumes before its first event and after a long
   * silence. `event`: as an event with the name `position` and the data `{}`. `id`: as a block with only an id, which
   * some clients ignore. False: not at all, for a protocol of your own. Default `event`.
   */
  positions?: Positions | undefined
  /**
   * Runs each source of a channel in only one process. Needed for a source if several processes share the store,
   * and then with a store of runs that they share too.
   */
  runs?: SourceRunner | undefined
  /**
   * The most streams of this process that are subscribed to the hub. A further one is refused, and its client
   * reconnects after 10 to 20 s. `StreamLimits` also limits streams for each user, and in all processes. Default: none.
   */
  maxStreams?: number | undefined
}

export const HUB_CHECKS = {
  store: checkStore,
  serialize: isFunction,
  deserialize: isFunction,
  gapEvent: checkEventName,
  positions: oneOf('event', 'id', false),
  runs: checkRuns,
  maxStreams: isCount,
}
const STORE_OPTION = 'It is an option of the store, for example of memoryStore().'
export const HUB_HINTS = {
  log: 'Did you mean store?',
  maxEvents: STORE_OPTION,
  maxBytes: STORE_OPTION,
  maxAge: STORE_OPTION,
  idempotencyWindow: STORE_OPTION,
}

function checkRuns(runs: unknown): string | undefined {
  return typeof (Object(runs) as Partial<SourceRunner>)._runShared === 'function' ? undefined : 'a Runs'
}

/** Checks an option that is a store. */
export function checkStore(store: unknown): string | undefined {
  const methods = ['open', 'append', 'read', 'close'] as const
  const isStore = methods.every((name) => typeof (Object(store) as Partial<EventStore>)[name] === 'function')
  return isStore ? undefined : `a store such as memoryStore(), with ${methods.join(', ')}`
}
