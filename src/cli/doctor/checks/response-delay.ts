import { finding } from '../catalog.ts'
import type { Exchange } from '../exchange.ts'
import { holdsByCompression, isHeldToEnd } from './buffering.ts'
import type { Check } from './check.ts'
import { inMs, isStream, watchedStreams } from './streams.ts'

// A shorter examination shows nothing. In ms.
const LEAST = 1_000
// In ms. A server that is busy or far away is faster.
const SLOW = 3_000
// With other evidence, less is enough. In ms.
const HELD = 1_000
// A body that begins within this time was sent together with the headers. In ms.
const TOGETHER = 100

export const noResponseHeaders: Check = (evidence) => {
  const { main } = evidence.exchanges
  if (main.status !== undefined || main.end !== 'open' || main.endedAt < LEAST) return []
  if (holdsByCompression(evidence)) return []
  return [finding('no-response-headers', `No response headers arrived within ${inMs(main.endedAt)}.`)]
}

export const headersHeld: Check = (evidence) => {
  const streams = watchedStreams(evidence)
  const [main] = streams
  if (main?.headersAt === undefined || main !== evidence.exchanges.main || isHeldToEnd(evidence)) return []
  const isHeld = streams.every(({ headersAt = 0, firstByteAt }) => {
    return headersAt >= HELD && firstByteAt !== undefined && firstByteAt - headersAt < TOGETHER
  })
  if (!isHeld || !(isFasterWithoutBody(evidence, main.headersAt) || isIrregular(streams, evidence.stall)))
    return []
  const message = `The response headers arrived after ${inMs(main.headersAt)}, together with the first bytes of the body.`
  return [finding('headers-held', message)]
}

/** Whether a response without a body had its headers much earlier. */
function isFasterWithoutBody({ exchanges: { head } }: Parameters<Check>[0], headersAt: number): boolean {
  return head?.status === 200 && head.headersAt !== undefined && head.headersAt < headersAt / 4
}

/**
 * Whether the headers of some streams took longer than those of others, because they waited for an event. A server that is
 * slow needs about as long for each.
 */
function isIrregular(streams: readonly Exchange[], stall: number): boolean {
  const times = streams.map(({ headersAt = 0 }) => headersAt)
  const [least, most] = [Math.min(...times), Math.max(...times)]
  return most >= SLOW && most - least >= least / 4 + 2 * stall
}

export const slowHeaders: Check = (evidence) => {
  const { main } = evidence.exchanges
  if (main.headersAt === undefined || main.headersAt < SLOW) return []
  if (headersHeld(evidence).length > 0 || isHeldToEnd(evidence)) return []
  return [finding('slow-headers', `The response headers took ${inMs(main.headersAt)}.`)]
}

export const noBody: Check = (evidence) => {
  const { main } = evidence.exchanges
  if (!isStream(main) || main.firstByteAt !== undefined || main.end !== 'open') return []
  const waited = main.endedAt - (main.headersAt ?? 0)
  if (waited < SLOW || holdsByCompression(evidence)) return []
  return [finding('no-body', `No byte of the body arrived within ${inMs(waited)} after the headers.`)]
}

export const slowFirstByte: Check = ({ exchanges: { main } }) => {
  if (!isStream(main) || main.firstByteAt === undefined || main.headersAt === undefined) return []
  const waited = main.firstByteAt - main.headersAt
  if (waited < SLOW) return []
  return [finding('slow-first-byte', `The first byte of the body arrived ${inMs(waited)} after the headers.`)]
}
