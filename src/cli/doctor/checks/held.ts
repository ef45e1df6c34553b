import type { Exchange, SeenEvent } from '../exchange.ts'
import { countText } from '../figures.ts'
import { liveMoments, type Moment, momentsOf } from './moments.ts'
import { absolute, inMs } from './streams.ts'
import { spanOf, type Times, timesIn } from './times-in-events.ts'

// Events whose times are less apart may have been published together. In ms.
const SPAN = 200
// The sum of these spans, below which a finding would depend on a race. In ms.
const SPANS = 1_000
// No server waits for so long in the middle of an event. In ms.
const PAUSE = 500
// A response that begins later, and arrives at once, was held. In ms.
const LATE = 2_000
// Events of one write are read within this time. Those of a language model are further apart. In ms.
const INSTANT = 2

type Held = (exchange: Exchange, stall: number) => string | undefined

/** Returns what shows that a stream was held on the way. Undefined if nothing does. `stall` in ms. */
export const evidenceOfHolding: Held = (exchange, stall) =>
  heldByTimes(exchange, stall) ??
  heldUntilTimes(exchange, stall) ??
  heldHeartbeats(exchange, stall) ??
  heldParts(exchange, stall)

/** The times in events that arrive together are further apart than the events. */
const heldByTimes: Held = (exchange, stall) => {
  const moments = liveMoments(exchange)
  const times = timesIn(
    moments.flatMap(({ events }) => events),
    exchange.endedAt,
  )
  const spans = moments
    .map(({ events }) => collected(events, times))
    .filter((span) => span >= SPAN + 2 * stall)
  if (spans.length < 2 || sum(spans) < SPANS) return undefined
  const events = moments.flatMap((moment) => moment.events).length
  const longest = inMs(Math.max(...spans))
  return `${countText(events, 'event')} arrived in ${countText(moments.length, 'burst')}, and the times in the events of a burst are up to ${longest} apart.`
}

/** The times in the first events are as far apart as the wait for them was long. */
const heldUntilTimes: Held = (exchange, stall) => {
  const [moment] = momentsOf(exchange)
  const times = timesIn(moment?.events ?? [], exchange.endedAt)
  if (!moment || !times) return undefined
  const span = collected(moment.events, times)
  if (span < SPANS + 2 * stall || moment.at < span * 0.8 || isHistory(exchange, times)) return undefined
  return `The first ${countText(moment.events.length, 'event')} arrived together after ${inMs(moment.at)}, and the times in them are up to ${inMs(span)} apart.`
}

/** Returns for how long something has collected events that arrive together, in ms. 0 if they have no times. */
function collected(events: readonly SeenEvent[], times: Times | undefined): number {
  const arrivals = (events.at(-1)?.at ?? 0) - (events[0]?.at ?? 0)
  return Math.max(0, spanOf(events, times) - arrivals)
}

/** Whether the first event was published before the request, by the clock of the server. */
function isHistory(exchange: Exchange, times: Times): boolean {
  const all = timesIn(exchange.events, exchange.endedAt) ?? times
  // The event that needed the least time shows how far the clock is from that of the doctor.
  const offset = Math.min(...[...all].map(([event, time]) => absolute(exchange, event.at) - time))
  const [first = 0] = times.values()
  return first + offset < exchange.sentAt
}

/** Several heartbeats arrive together, although a server sends one at a time. */
const heldHeartbeats: Held = (exchange, stall) => {
  const bursts = liveMoments(exchange).filter(hasHeartbeats)
  const [first, last] = [bursts[0], bursts.at(-1)]
  if (!first || !last || last.at - first.at < PAUSE + 2 * stall) return undefined
  const most = Math.max(...bursts.map(({ comments }) => comments.length))
  return `Heartbeats arrived in ${countText(bursts.length, 'burst')} of up to ${most}.`
}

function hasHeartbeats({ comments, events }: Moment): boolean {
  const texts = new Set(comments.map(({ text }) => text))
  return comments.length > texts.size && comments.length > events.length
}

/** The end of an event arrives long after its beginning. */
const heldParts: Held = ({ events, arrivals }, stall) => {
  const pauses = events
    .filter(({ at, startedAt }) => at - startedAt >= PAUSE)
    .map(({ at, startedAt }) =>
      longestPause(arrivals.map((each) => each.at).filter((each) => each >= startedAt && each <= at)),
    )
    .filter((pause) => pause >= PAUSE + 2 * stall)
  if (pauses.length < 2) return undefined
  return `The ends of ${countText(pauses.length, 'event')} arrived up to ${inMs(Math.max(...pauses))} after their beginnings.`
}

/** All events of a response that took long arrive together at its end. */
export const heldToEnd: Held = (exchange) => {
  const { events, end, endedAt } = exchange
  const [moment, ...others] = momentsOf(exchange)
  if (!moment || others.length > 0 || events.length < 3 || end !== 'ended') return undefined
  if (moment.at < LATE || endedAt - moment.at > PAUSE || !isAtOnce(moment)) return undefined
  return `All ${countText(events.length, 'event')} arrived together after ${inMs(moment.at)}, and then the stream ended.`
}

/** Events arrive in bursts only, which a server may have sent so. */
export const inBursts: Held = (exchange, stall) => {
  const moments = liveMoments(exchange).filter(({ events }) => events.length > 0)
  const isApart = moments.every(
    ({ at }, i) => i === 0 || at - (moments[i - 1]?.at ?? at) >= PAUSE + 2 * stall,
  )
  if (moments.length < 3 || !isApart || !moments.every(isAtOnce)) return undefined
  const events = moments.flatMap((moment) => moment.events).length
  return `${countText(events, 'event')} arrived in ${countText(moments.length, 'burst')}, and none of them alone.`
}

/** Whether most of several events arrived with the one before, and not shortly after it. */
function isAtOnce({ events }: Moment): boolean {
  const instants = events.filter(({ at }, i) => i === 0 || at - (events[i - 1]?.at ?? at) > INSTANT)
  return events.length >= 2 * instants.length
}

function longestPause(times: readonly number[]): number {
  return Math.max(0, ...times.slice(1).map((at, i) => at - (times[i] ?? at)))
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
