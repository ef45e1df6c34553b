import { finding } from '../catalog.ts'
import type { Evidence } from '../evidence.ts'
import type { Exchange } from '../exchange.ts'
import type { Finding } from '../finding.ts'
import type { Check } from './check.ts'
import { evidenceOfCork } from './corked.ts'
import { evidenceOfHolding, heldToEnd, inBursts } from './held.ts'
import { areShared, lagBehind } from './lag.ts'
import { liveMoments, momentsOf } from './moments.ts'
import { encodingOf, inMs, isStream, watchedStreams } from './streams.ts'
import { timesIn } from './times-in-events.ts'

// For how long a compressed stream is silent although the uncompressed one is not. In ms.
const MIN_SILENCE = 2_000
// No server needs longer for its first comment. In ms.
const MAX_TIME_TO_TEXT = 3_000
// Fewer events that arrive together may have been published together.
const MIN_EVENTS = 4
// A longer delay is a problem even if it is the only one. In ms.
const LONG_DELAY = 1_000

export const buffered: Check = (evidence) => {
  const isCompressionHeld = holdsByCompression(evidence)
  const streams = watchedStreams(evidence).filter((each) => !isCompressionHeld || !encodingOf(each))
  for (const stream of streams) {
    const message = evidenceOfHolding(stream, evidence.stall)
    if (message) return [finding('buffered', message + over(stream))]
  }
  const [stream] = streams
  if (!stream) return []
  const whole = heldToEnd(stream, evidence.stall)
  if (whole) return [finding('buffered', whole, 'warning')]
  const bursts = inBursts(stream, evidence.stall)
  const level = areOneKind(stream) ? 'warning' : 'note'
  return bursts ? [finding('buffered', bursts, level)] : []
}

/** Whether `main` arrived as a whole when it ended. */
export function isHeldToEnd({ exchanges: { main }, stall }: Evidence): boolean {
  return isStream(main) && heldToEnd(main, stall) !== undefined
}

/**
 * Whether each burst has several events of one name, and no times that show that they were published together. A server
 * that publishes in groups usually has several names.
 */
function areOneKind(stream: Exchange): boolean {
  const bursts = liveMoments(stream).map(({ events }) => events)
  if (timesIn(bursts.flat(), stream.endedAt)) return false
  return bursts.every((events) => {
    return (
      events.length === 0 ||
      (events.length >= MIN_EVENTS && new Set(events.map(({ event }) => event)).size === 1)
    )
  })
}

export const compressedHeld: Check = (evidence) => {
  const { main, http2, identity } = evidence.exchanges
  const plain = isStream(identity) && !encodingOf(identity) ? identity : undefined
  // If only the request over HTTP/2 has no response, the protocol is the cause.
  const isUnanswered = main.status !== undefined && http2?.status === undefined
  for (const stream of isUnanswered ? [main] : [main, http2]) {
    const message = stream && plain && holdingByCompression(stream, plain, evidence)
    if (message) return [finding('compressed-held', message + over(stream))]
  }
  return isEmpty(main) ? [emptyFinding(main)] : []
}

/** Whether a compressed stream has contained no text for a long time. */
function isEmpty(stream: Exchange): boolean {
  const waited = stream.endedAt - (stream.headersAt ?? stream.endedAt)
  return (
    isStream(stream) &&
    encodingOf(stream) !== undefined &&
    stream.arrivals.length === 0 &&
    waited >= MAX_TIME_TO_TEXT
  )
}

// Returns the finding about an empty stream. The server may have had nothing to send.
function emptyFinding(stream: Exchange): Finding {
  const message = `The stream is compressed with ${encodingOf(stream)}, and contains no text after ${inMs(stream.endedAt)}.`
  return finding('compressed-held', message, 'warning')
}

/** Whether compression holds events back. */
export function holdsByCompression(evidence: Evidence): boolean {
  return compressedHeld(evidence).length > 0
}

/** Returns the evidence that compression holds events back. Undefined if there is none. */
function holdingByCompression(stream: Exchange, identity: Exchange, evidence: Evidence): string | undefined {
  const encoding = encodingOf(stream)
  if (stream.status !== undefined && (!isStream(stream) || !encoding)) return undefined
  const name = encoding ?? 'Accept-Encoding'
  const [ours, others] = [momentsOf(stream), momentsOf(identity)]
  const [first, last] = [others[0], others.at(-1)]
  if (!first || !last) return undefined
  if (ours.length === 0 && stream.endedAt - first.at >= MIN_SILENCE)
    return `With ${name}, nothing arrived within ${inMs(stream.endedAt)}. Without, the first bytes arrived after ${inMs(first.at)}.`
  if (ours.length === 1 && heldToEnd(stream, evidence.stall) && last.at - first.at >= LONG_DELAY)
    return `With ${name}, all events arrived together after ${inMs(ours[0]?.at ?? 0)}. Without, the first arrived after ${inMs(first.at)}.`
  return (
    burstsByCompression(stream, identity, name, evidence) ??
    lagByCompression(stream, identity, name, evidence)
  )
}

function burstsByCompression(
  stream: Exchange,
  identity: Exchange,
  name: string,
  evidence: Evidence,
): string | undefined {
  const [ours, others] = [liveMoments(stream), liveMoments(identity)]
  const [own, plain] = [sizeOf(ours), sizeOf(others)]
  const bursts = ours.filter(({ events, comments }) => events.length + comments.length > 1)
  if (bursts.length < 2 || others.length < 4 || own < plain * 1.5) return undefined
  // Unless all readers get the same events, events may arrive together by chance.
  if (bursts.length < ours.length && !areShared(evidence)) return undefined
  return `With ${name}, ${own.toFixed(1)} events arrived together on average. Without, it was ${plain.toFixed(1)}.`
}

function lagByCompression(
  stream: Exchange,
  identity: Exchange,
  name: string,
  evidence: Evidence,
): string | undefined {
  const lag = areShared(evidence) ? lagBehind(stream, identity) : undefined
  return lag === undefined ? undefined : `With ${name}, events arrived ${inMs(lag)} later than without.`
}

/** Returns how many events and comments arrived together on average. */
function sizeOf(moments: ReturnType<typeof liveMoments>): number {
  const items = moments.reduce((total, { events, comments }) => total + events.length + comments.length, 0)
  return moments.length === 0 ? 0 : items / moments.length
}

export const delayed: Check = (evidence) => {
  const cork = evidenceOfCork(evidence)
  return cork ? [finding('delayed', cork)] : delayedBesideOthers(evidence)
}

const delayedBesideOthers: Check = (evidence) => {
  if (!areShared(evidence)) return []
  const streams = watchedStreams(evidence)
  const pairs = streams.flatMap((late) =>
    streams.map((early) => ({ late, early, lag: lagBehind(late, early) })),
  )
  const longest = pairs
    // The check of compression compares these two streams.
    .filter(({ late, early }) => !encodingOf(late) || encodingOf(early))
    .toSorted((a, b) => (b.lag ?? 0) - (a.lag ?? 0))[0]
  if (!longest?.lag) return []
  const { late, early, lag } = longest
  const other = late.protocol === early.protocol ? 'on another connection' : `over ${early.protocol}`
  const level = lag >= LONG_DELAY ? 'problem' : 'warning'
  const message = `Events over ${late.protocol} arrived ${inMs(lag)} later than ${other}.`
  return [finding('delayed', message, level)]
}

export const compressed: Check = (evidence) => {
  const [stream] = watchedStreams(evidence).filter(encodingOf)
  if (!stream || holdsByCompression(evidence)) return []
  return [finding('compressed', `The stream is compressed with ${encodingOf(stream)}.`)]
}

function over({ protocol }: Exchange): string {
  return protocol === 'HTTP/2' ? ' This was over HTTP/2.' : ''
}
