import type { Evidence } from '../evidence.ts'
import type { Exchange, SeenEvent } from '../exchange.ts'
import { absolute, isStream, median } from './streams.ts'

// Both connections have received what a server sends at the beginning. In ms.
const BEGINNING = 500
const MATCHES = 4
// Smaller differences are the order in which a server writes. In ms.
const TYPICAL = 120
const LEAST = 60
// Two timers that began with their connections fire at the same time after them, except for this. In ms.
const SAME = 80

/** How much later one stream received the events of another one. */
export interface Lag {
  /** In ms. */
  readonly typical: number
  readonly events: number
}

/** Returns how much later a stream received events than another one. Undefined unless all of them were late. */
export function lagBehind(late: Exchange, early: Exchange): Lag | undefined {
  if (haveOwnTimers(late, early)) return undefined
  const live = Math.max(openedAt(late), openedAt(early)) + BEGINNING
  const times = timesByKey(early)
  const lags = [...timesByKey(late)].flatMap(([key, at]) => {
    const other = times.get(key)
    return other === undefined || other < live ? [] : [at - other]
  })
  if (lags.length < MATCHES || median(lags) < TYPICAL || Math.min(...lags) < LEAST) return undefined
  return { typical: median(lags), events: lags.length }
}

/**
 * Whether all streams receive the same events. A stream that was opened later then begins in the middle of an earlier one.
 * Otherwise the events of two streams may have the same ids or data by chance, for example the numbers from 1.
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
 * Whether two streams have a timer each, that began with its connection. The same data then arrives later on the one that
 * was opened later, for example the time in seconds. An event with an id is one that a server has published.
 */
function haveOwnTimers(one: Exchange, other: Exchange): boolean {
  const theirs = liveTimes(other)
  const differences = liveTimes(one).map((time, i) =>
    Math.abs(time - (theirs[i] ?? Number.POSITIVE_INFINITY)),
  )
  return differences.length > 0 && median(differences) < SAME
}

/** Returns when the first events without an id arrived after the beginning, in ms since the response headers. */
function liveTimes({ events, headersAt = 0 }: Exchange): number[] {
  const live = events.filter(({ at }) => at - headersAt > BEGINNING).slice(0, MATCHES)
  return live.filter(({ hasId }) => !hasId).map(({ at }) => at - headersAt)
}

function openedAt(exchange: Exchange): number {
  return absolute(exchange, exchange.headersAt ?? exchange.endedAt)
}

/** Returns when each event arrived, in ms since the Unix epoch. An event that arrived twice is left out. */
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
