import { finding } from '../catalog.ts'
import type { Exchange } from '../exchange.ts'
import { countText } from '../figures.ts'
import type { Check } from './check.ts'
import { liveMoments } from './moments.ts'
import { inMs, isStream, watchedStreams } from './streams.ts'

// Names and data of events that usually mark the end of a stream.
const END_NAME =
  /^\[?(done|end|ended|close|closed|complete|completed|finish|finished|stop|stopped|eof)\]?$|[.:_-](done|end|completed?|stop)$/i
// The number of moments after which events count as arriving one by one.
const MIN_MOMENTS = 2
// A shorter examination was configured by a test, or was aborted. In ms.
const MIN_TIME = 3_000

export const cut: Check = (evidence) => {
  const { main, http2 } = evidence.exchanges
  const stream = [main, http2].find(
    (each) => each?.end === 'cut' && (each.status !== undefined || each === main),
  )
  if (!stream) return []
  const [time, reason] = [inMs(stream.endedAt), stream.error ?? 'closed']
  const message =
    stream.status === undefined
      ? `The connection was closed after ${time}, before a response (${reason}).`
      : `The stream over ${stream.protocol} was cut after ${time} (${reason}).`
  return [finding('cut', message)]
}

export const ends: Check = ({ exchanges: { main, reconnect } }) => {
  if (!isStream(main) || main.end !== 'ended' || main.method !== 'GET' || !isStream(reconnect)) return []
  const again = repetitions(main, reconnect)
  const last = main.events.at(-1)
  const isMarked = last !== undefined && (END_NAME.test(last.event) || END_NAME.test(last.data.trim()))
  const message = `The stream ended after ${inMs(main.endedAt)}, and a reconnect got a stream again`
  if (again === 0 || isMarked) return [finding('ends', `${message}.`, 'note')]
  return [finding('ends', `${message}, with ${countText(again, 'event')} that the first one had.`)]
}

function repetitions(main: Exchange, reconnect: Exchange): number {
  const known = new Set(main.events.map(({ id, event, data }) => `${id} ${event} ${data}`))
  return reconnect.events.filter(({ id, event, data }) => known.has(`${id} ${event} ${data}`)).length
}

export const tooFewEvents: Check = (evidence) => {
  const [main] = watchedStreams(evidence)
  if (!main || main !== evidence.exchanges.main || main.end !== 'open' || evidence.watched < MIN_TIME)
    return []
  const moments = liveMoments(main).filter(({ events }) => events.length > 0)
  const unjudged = [
    ...(liveMoments(main).length < MIN_MOMENTS ? ['buffering'] : []),
    ...(hasNoResume(main) ? ['resume'] : []),
  ]
  if (unjudged.length === 0) return []
  const message = `${countText(moments.length, 'event')} arrived after the beginning, so that ${unjudged.join(' and ')} could not be judged.`
  return [finding('too-few-events', message)]
}

/** Whether a stream may have ids, but did not send the two ids that a reconnect between them needs. */
function hasNoResume({ ids, events }: Exchange): boolean {
  return new Set(ids.map(({ id }) => id)).size < 2 && (ids.length > 0 || events.length === 0)
}
