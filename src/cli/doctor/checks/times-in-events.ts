import type { SeenEvent } from '../exchange.ts'

// Matches times from 2017 to 2096, in ms since the Unix epoch.
const EPOCH = /(?<!\d)(1[5-9]\d{11}|[23]\d{12})(?!\d)/
const ISO = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:Z|[+-]\d\d:?\d\d)/
// How much of the data of an event is searched, in characters.
const MAX_SEARCHED = 2_000
// Tolerates an adjustment of the server's clock. In ms.
const CLOCK_TOLERANCE = 2_000

/** When events were published, in ms since the Unix epoch by the clock of the server. */
export type Times = ReadonlyMap<SeenEvent, number>

/** Returns the time of publication in an event, from its id, as in Redis Streams, or from its data. */
function timeIn({ id, hasId, data }: SeenEvent): number | undefined {
  const text = `${hasId ? id : ''} ${data.slice(0, MAX_SEARCHED)}`
  const [epoch] = EPOCH.exec(text) ?? []
  const [iso] = ISO.exec(text) ?? []
  const time = epoch ? Number(epoch) : Date.parse(iso ?? '')
  return Number.isFinite(time) ? time : undefined
}

/**
 * Returns the times of publication of events, in their order. Undefined unless each event has one, the times do not
 * decrease, and all of them are within `longest` ms.
 */
export function timesIn(events: readonly SeenEvent[], longest: number): Times | undefined {
  const times = new Map<SeenEvent, number>()
  let newest = Number.NEGATIVE_INFINITY
  for (const event of events) {
    const time = timeIn(event)
    if (time === undefined || time < newest) return undefined
    newest = time
    times.set(event, time)
  }
  const [first = newest] = times.values()
  return newest - first <= longest + CLOCK_TOLERANCE ? times : undefined
}

/** Returns the time between the first and the last of some events, in ms. 0 if they have no times. */
export function spanOf(events: readonly SeenEvent[], times: Times | undefined): number {
  const [first, last] = [events[0], events.at(-1)]
  if (!times || !first || !last) return 0
  return (times.get(last) ?? 0) - (times.get(first) ?? 0)
}
