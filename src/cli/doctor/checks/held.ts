import type { Exchange, SeenEvent } from '../exchange.ts'
import { countText } from '../figures.ts'
import { liveMoments, type Moment, momentsOf } from './moments.ts'
import { absolute, inMs, longestPause, slackOf } from './streams.ts'
import { spanOf, type Times, timesIn } from './times-in-events.ts'

// Events whose times are closer together may have been published together. In ms.
const MIN_SPAN = 200
// If the sum of these spans is smaller, a finding would depend on a race. In ms.
const MIN_TOTAL_SPAN = 1_000
// No server pauses for so long in the middle of an event. In ms.
const MIN_PAUSE = 500
// A response that begins later, and then arrives at once, was held. In ms.
const MIN_DELAY = 2_000
// Events of one write are read within this time; the tokens of a language model are further apart. In ms.
const MAX_WRITE_TIME = 2

type Held = (exchange: Exchange, stall: number) => string | undefined

/** Returns the evidence that a proxy held a stream. Undefined if there is none. `stall` in ms. */
export const evidenceOfHolding: Held = (exchange, stall) =>
  heldByTimes(exchange, stall) ??
  heldUntilTimes(exchange, stall) ??
  heldHeartbeats(exchange, stall) ??
  heldParts(exchange, stall)

/** Matches if the times in events that arrive together are further apart than the events. */
const heldByTimes: Held = (exchange, stall) => {
  const bursts = liveMoments(exchange).map(publishedIn)
  const events = bursts.flat()
  const times = timesIn(events, exchange.endedAt)
  const spans = bursts
    .map((burst) => collected(burst, times))
    .filter((span) => span >= MIN_SPAN + slackOf(stall))
  if (spans.length < 2 || sum(spans) < MIN_TOTAL_SPAN) return undefined
  const longest = inMs(Math.max(...spans))
  return `${countText(events.length, 'event')} arrived in ${countText(bursts.length, 'burst')}, and the times in the events of a burst are up to ${longest} apart.`
}

/** Matches if the times in the first events span as long as the client waited for them. */
const heldUntilTimes: Held = (exchange, stall) => {
  const [moment] = momentsOf(exchange)
  const events = moment ? publishedIn(moment) : []
  const times = timesIn(events, exchange.endedAt)
  if (!moment || !times) return undefined
  const span = collected(events, times)
  if (span < MIN_TOTAL_SPAN + slackOf(stall) || moment.at < span * 0.8 || isHistory(exchange, times))
    return undefined
  return `The first ${countText(events.length, 'event')} arrived together after ${inMs(moment.at)}, and the times in them are up to ${inMs(span)} apart.`
}

/** Returns the events of a moment without the positions of a hub, which have no time. */
function publishedIn({ events }: Moment): SeenEvent[] {
  return events.filter(({ event, data }) => event !== 'position' || data !== '{}')
}

/** Returns for how long a proxy has collected events that arrive together, in ms. 0 if they have no times. */
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

/** Matches if several heartbeats arrive together, although a server sends one at a time. */
const heldHeartbeats: Held = (exchange, stall) => {
  const bursts = liveMoments(exchange).filter(hasHeartbeats)
  const [first, last] = [bursts[0], bursts.at(-1)]
  if (!first || !last || last.at - first.at < MIN_PAUSE + slackOf(stall)) return undefined
  const most = Math.max(...bursts.map(({ comments }) => comments.length))
  return `Heartbeats arrived in ${countText(bursts.length, 'burst')} of up to ${most}.`
}

function hasHeartbeats({ comments, events }: Moment): boolean {
  const texts = new Set(comments.map(({ text }) => text))
  return comments.length > texts.size && comments.length > events.length
}

/** Matches if the end of an event arrives long after its beginning. */
const heldParts: Held = ({ events, arrivals }, stall) => {
  const pauses = events
    .filter(({ at, startedAt }) => at - startedAt >= MIN_PAUSE)
    .map(({ at, startedAt }) =>
      longestPause(arrivals.map((each) => each.at).filter((each) => each >= startedAt && each <= at)),
    )
    .filter((pause) => pause >= MIN_PAUSE + slackOf(stall))
  if (pauses.length < 2) return undefined
  return `The ends of ${countText(pauses.length, 'event')} arrived up to ${inMs(Math.max(...pauses))} after their beginnings.`
}

/** Matches a long response whose events all arrive together at its end. */
export const heldToEnd: Held = (exchange) => {
  const { events, end, endedAt } = exchange
  const [moment, ...others] = momentsOf(exchange)
  if (!moment || others.length > 0 || events.length < 3 || end !== 'ended') return undefined
  if (moment.at < MIN_DELAY || endedAt - moment.at > MIN_PAUSE || !isAtOnce(moment)) return undefined
  return `All ${countText(events.length, 'event')} arrived together after ${inMs(moment.at)}, and then the stream ended.`
}

/** Matches if all events arrive in bursts. A server may have sent them so. */
export const inBursts: Held = (exchange, stall) => {
  const moments = liveMoments(exchange).filter(({ events }) => events.length > 0)
  const isApart = moments.every(
    ({ at }, i) => i === 0 || at - (moments[i - 1]?.at ?? at) >= MIN_PAUSE + slackOf(stall),
  )
  if (moments.length < 3 || !isApart || !moments.every(isAtOnce)) return undefined
  const events = moments.flatMap((moment) => moment.events).length
  return `${countText(events, 'event')} arrived in ${countText(moments.length, 'burst')}, and none of them alone.`
}

/** Whether most of several events arrived immediately after the one before. */
function isAtOnce({ events }: Moment): boolean {
  const instants = events.filter(({ at }, i) => i === 0 || at - (events[i - 1]?.at ?? at) > MAX_WRITE_TIME)
  return events.length >= 2 * instants.length
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
