import type { SeenEvent } from '../exchange.ts'

// From 2017 to 2096, in ms since the Unix epoch.
const EPOCH = /(?<!\d)(1[5-9]\d{11}|[23]\d{12})(?!\d)/
const ISO = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:Z|[+-]\d\d:?\d\d)/
// What is searched of the data of an event, in characters.
const SEARCHED = 2_000
// The clock of the server may be changed meanwhile. In ms.
const SLACK = 2_000

/** When events were published, in ms since the Unix epoch by the clock of the server. */
export type Times = ReadonlyMap<SeenEvent, number>

/** Returns the time of publication in an event: in its id, as those of Redis Streams are, or in its data. */
function timeIn({ id, hasId, data }: SeenEvent): number | undefined {
  const text = `${hasId ? id : ''} ${data.slice(0, SEARCHED)}`
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
  return newest - first <= longest + SLACK ? times : undefined
}

/** Returns the time between the first and the last of some events, in ms. 0 if they have no times. */
export function spanOf(events: readonly SeenEvent[], times: Times | undefined): number {
  const [first, last] = [events[0], events.at(-1)]
  if (!times || !first || !last) return 0
  return (times.get(last) ?? 0) - (times.get(first) ?? 0)
}
