import type { Evidence } from '../evidence.ts'
import type { Exchange, SeenEvent } from '../exchange.ts'
import { absolute, isStream, median } from './streams.ts'

// After this time, both connections have received the events that a server sends at the beginning. In ms.
const BEGINNING = 500
const MIN_MATCHES = 4
// Smaller differences result from the order in which a server writes. In ms.
const MIN_TYPICAL_LAG = 120
const MIN_LAG = 60
// Timers that began with their connections fire at the same time after the beginning, with this tolerance. In ms.
const TIMER_TOLERANCE = 80

/** Returns how much later a stream received events than another one, in ms. Undefined unless all of them were late. */
export function lagBehind(late: Exchange, early: Exchange): number | undefined {
  if (haveOwnTimers(late, early)) return undefined
  const live = Math.max(openedAt(late), openedAt(early)) + BEGINNING
  const times = timesByKey(early)
  const lags = [...timesByKey(late)].flatMap(([key, at]) => {
    const other = times.get(key)
    return other === undefined || other < live ? [] : [at - other]
  })
  const typical = median(lags)
  if (lags.length < MIN_MATCHES || typical < MIN_TYPICAL_LAG || Math.min(...lags) < MIN_LAG) return undefined
  return typical
}

/**
 * Whether all streams receive the same events. A stream that was opened later then begins in the middle of an earlier
 * one. Otherwise equal ids or data may be a coincidence, for example if each stream counts from 1.
 */
export function areShared({ exchanges: { main, identity, second } }: Evidence): boolean {
  if (!isStream(second)) return false
  return [main, identity].some((earlier) => {
    if (!isStream(earlier) || second.sentAt - earlier.sentAt < BEGINNING) return false
    const [ours, theirs] = [timesByKey(second), [...timesByKey(earlier).keys()]]
    const [first = ''] = ours.keys()
    return theirs.indexOf(first) > 0 && !ours.has(theirs[0] ?? '')
  })
}

/**
 * Whether each of two streams has a timer that began with its connection, for example one that sends the time in
 * seconds. The stream that was opened later then receives the same data later. An event with an id was published by the
 * server.
 */
function haveOwnTimers(one: Exchange, other: Exchange): boolean {
  const theirs = liveTimes(other)
  const differences = liveTimes(one).map((time, i) =>
    Math.abs(time - (theirs[i] ?? Number.POSITIVE_INFINITY)),
  )
  return differences.length > 0 && median(differences) < TIMER_TOLERANCE
}

/** Returns when the first events without an id arrived after the beginning, in ms since the response headers. */
function liveTimes({ events, headersAt = 0 }: Exchange): number[] {
  const live = events.filter(({ at }) => at - headersAt > BEGINNING).slice(0, MIN_MATCHES)
  return live.filter(({ hasId }) => !hasId).map(({ at }) => at - headersAt)
}

function openedAt(exchange: Exchange): number {
  return absolute(exchange, exchange.headersAt ?? exchange.endedAt)
}

/** Returns when each event arrived, in ms since the Unix epoch. Omits events that arrived twice. */
function timesByKey(exchange: Exchange): ReadonlyMap<string, number> {
  const times = new Map<string, number>()
  const repeated = new Set<string>()
  for (const event of exchange.events) {
    const key = keyOf(event)
    if (times.has(key)) repeated.add(key)
    times.set(key, absolute(exchange, event.at))
  }
  for (const key of repeated) times.delete(key)
  return times
}

function keyOf({ hasId, id, event, data }: SeenEvent): string {
  return hasId ? `id ${id}` : `${event} ${data}`
}
