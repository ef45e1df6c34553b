import { Frame } from '../event/frame.ts'
import { eventStream } from '../formats/event-stream.ts'
import type { FormatName } from '../formats/format.ts'
import { ndjson } from '../formats/ndjson.ts'
import type { Representation } from '../stream/options.ts'
import { formatFor, formatQuery, queryOf } from './formats.ts'
import type { Settings } from './options.ts'

// Comments of this size pass proxies that hold back a heartbeat of two bytes.
const PADDING = Frame.of(`:${' '.repeat(2046)}\n`, 0)

// The settings of a route in each representation, which its streams share.
const cache = new WeakMap<Settings, Map<string, Settings>>()

/**
 * Returns the settings for the response to a request, or undefined if it accepts no format of the route. Returns
 * settings unchanged that this function has returned.
 */
export function settingsFor<Given extends Settings>(
  settings: Given,
  accept: string | null | undefined,
  url: string | undefined,
): Given | undefined {
  if (settings.isChosen) return settings
  const query = formatQuery(settings, url)
  const format = formatFor(settings, accept, query)
  if (!format || (format === 'event-stream' && !query)) return format && settings
  const varies = !!query && !query.get('format')
  const isPadded = format === 'event-stream' && query?.get('padded') === '1'
  const chosen = variant(settings, `${format} ${varies} ${isPadded}`, () => ({
    ...settings,
    ...representation(format, settings),
    ...(isPadded && { padding: PADDING }),
    varies,
    isChosen: true,
  }))
  return format === 'json' ? withHold(chosen, (query ?? queryOf(url)).get('hold')) : chosen
}

function variant<Given extends Settings>(settings: Given, key: string, create: () => Given): Given {
  const variants = cache.get(settings) ?? new Map<string, Settings>()
  cache.set(settings, variants)
  const present = variants.get(key) ?? create()
  variants.set(key, present)
  return present as Given
}

function representation(format: FormatName, { longPoll }: Settings): Partial<Settings> {
  if (format !== 'json') return { format: format === 'ndjson' ? ndjson : eventStream }
  return { format: ndjson, poll: longPoll, ...holding(longPoll.hold) }
}

// Delays the response headers of a poll until its events, so that an error of the handler still gets a status.
function holding(hold: number): Partial<Settings> & { maxHeaderDelay: number } {
  return { heartbeat: 0, maxDuration: hold, maxHeaderDelay: hold }
}

// How long a poll waits if it is not held, for example for a store that is connecting, in ms.
const SHORTEST_HOLD = 1_000

/** Shortens the time for which a client is held. With 0, the client immediately gets the missed events. */
function withHold<Given extends Settings>(settings: Given, hold: string | null | undefined): Given {
  const { poll } = settings as Representation
  const time = /^\d{1,9}$/.test(hold ?? '') ? Number(hold) : undefined
  if (!poll || time === undefined || time >= poll.hold) return settings
  return { ...settings, ...holding(Math.max(time, SHORTEST_HOLD)), poll: { ...poll, hold: time } }
}
