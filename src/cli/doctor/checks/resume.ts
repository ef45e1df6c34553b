import { finding } from '../catalog.ts'
import type { Evidence } from '../evidence.ts'
import type { Exchange } from '../exchange.ts'
import { countText } from '../figures.ts'
import type { Check } from './check.ts'
import { isLimited } from './headers.ts'
import { liveMoments } from './moments.ts'
import { type Resumption, resumptionOf, sentIdOf } from './resumption.ts'
import { inMs, isStream } from './streams.ts'

// A client that disconnects earlier has missed no event that a server could send. In ms.
const FIRST_ID = 1_000
const EVENTS = 3

export const noIds: Check = ({ exchanges: { main } }) => {
  if (!isStream(main) || main.method !== 'GET' || main.events.length < EVENTS || main.ids.length > 0)
    return []
  return [finding('no-ids', `None of the ${countText(main.events.length, 'event')} has an id.`)]
}

export const noFirstPosition: Check = ({ exchanges: { main } }) => {
  const [first] = main.ids
  if (!isStream(main) || main.headersAt === undefined || first === undefined) return []
  const waited = first.at - main.headersAt
  if (waited < FIRST_ID) return []
  return [finding('no-first-position', `The first id arrived ${inMs(waited)} after the response headers.`)]
}

export const resumeFailed: Check = ({ exchanges: { main, resume, resumeLast } }) => {
  const failed = [resume, resumeLast].find((each) => (each?.status ?? 200) !== 200 && !isEnd(main, each))
  if (!isStream(main) || failed?.status === undefined || isLimited(failed)) return []
  const id = JSON.stringify(sentIdOf(failed))
  return [finding('resume-failed', `A reconnect with the id ${id} got the status ${failed.status}.`)]
}

/** Whether a response stops a client that has received everything, after the stream has ended. */
function isEnd(main: Exchange, exchange: Exchange | undefined): boolean {
  if (main.end !== 'ended' || exchange?.status !== 204) return false
  return sentIdOf(exchange) === main.ids.at(-1)?.id
}

export const resumeIgnored: Check = (evidence) => {
  const resumption = resumptionOf(evidence)
  if (!resumption || resumption.received.length > 0 || isReported(evidence, resumption.exchange)) return []
  if (resumption.repeated.length > 0) return []
  const { id, missed } = resumption
  const message = `A reconnect with the id ${JSON.stringify(id)} got none of the ${countText(missed.length, 'event')} after it.`
  return [finding('resume-ignored', message)]
}

export const resumeSkips: Check = (evidence) => {
  const resumption = resumptionOf(evidence)
  if (!resumption || resumption.received.length === 0 || isReported(evidence, resumption.exchange)) return []
  const { id, due, skipped } = resumption
  if (skipped.length === 0) return []
  const message = `A reconnect with the id ${JSON.stringify(id)} skipped ${skipped.length} of ${countText(due.length, 'event')} after it, for example ${JSON.stringify(skipped[0])}.`
  return [finding('resume-skips', message)]
}

export const resumeRepeats: Check = (evidence) => {
  const { resume, resumeLast } = evidence.exchanges
  const repeated = [resume, resumeLast].flatMap((each) => repetitionsOf(evidence, each))
  const [first] = repeated
  if (!first) return []
  const message = `A reconnect with the id ${JSON.stringify(first.id)} got ${countText(first.repeated.length, 'event')} again that the client had, for example ${JSON.stringify(first.repeated[0])}.`
  return [finding('resume-repeats', message)]
}

function repetitionsOf(evidence: Evidence, exchange: Exchange | undefined): Resumption[] {
  const resumption = resumptionOf(evidence, exchange)
  return resumption && resumption.repeated.length > 0 ? [resumption] : []
}

export const unknownIdIgnored: Check = (evidence) => {
  const { main, unknownId } = evidence.exchanges
  const resumption = resumptionOf(evidence)
  // If the server ignores all ids, that is the finding.
  if (!resumption || resumption.received.length === 0 || !isStream(unknownId)) return []
  if (unknownId.endedAt - (unknownId.headersAt ?? 0) < FIRST_ID || isReported(evidence, unknownId)) return []
  const before = new Set(idsBefore(main, unknownId))
  // The server sends every event that it still has, so the client loses none of them.
  if (unknownId.events.some(({ id, hasId }) => hasId && before.has(id))) return []
  if (hasState(evidence, unknownId)) return []
  const message = 'A reconnect with an id that the server has never sent got a stream as a new client does.'
  return [finding('unknown-id-ignored', message)]
}

function idsBefore(main: Exchange, { sentAt }: Exchange): string[] {
  return main.ids.filter(({ at }) => main.sentAt + at < sentAt).map(({ id }) => id)
}

/** Whether a response has an event that is neither live nor replayed, for example the present state. */
function hasState({ exchanges: { main, resume } }: Evidence, { events }: Exchange): boolean {
  const live = liveMoments(main).flatMap((moment) => moment.events)
  const names = new Set([...live, ...(resume?.events ?? [])].map(({ event }) => event))
  const haveIds = live.length > 0 && live.every(({ hasId }) => hasId)
  return events.some(({ event, hasId }) => !names.has(event) || (haveIds && !hasId))
}

/**
 * Whether a server reports a gap. It sends an event with a separate name, or another id in the response header
 * `Last-Event-ID`, as Mercure does.
 */
function isReported({ exchanges: { main } }: Evidence, exchange: Exchange): boolean {
  const names = new Set(main.events.map(({ event }) => event))
  const header = exchange.headers.get('last-event-id')
  const isOther = header !== undefined && header !== exchange.requestHeaders['last-event-id']
  return isOther || exchange.events.some(({ event }) => !names.has(event))
}
