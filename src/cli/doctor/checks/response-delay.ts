import { finding } from '../catalog.ts'
import type { Evidence } from '../evidence.ts'
import type { Exchange } from '../exchange.ts'
import type { Finding } from '../finding.ts'
import { holdsByCompression, isHeldToEnd } from './buffering.ts'
import type { Check } from './check.ts'
import { inMs, isStream, slackOf, watchedStreams } from './streams.ts'

// A shorter examination yields no evidence. In ms.
const MIN_TIME = 1_000
// Even a busy or distant server responds sooner. In ms.
const SLOW_HEADERS = 3_000
// With other evidence, a shorter delay suffices. In ms.
const HELD_HEADERS = 1_000
// A body that begins within this time was sent together with the headers. In ms.
const SAME_WRITE = 100

export const noResponseHeaders: Check = (evidence) => {
  const { main } = evidence.exchanges
  if (main.status !== undefined || main.end !== 'open')
    return firstOf(variantsOf(evidence), ({ exchange, name }) => {
      if (exchange.status !== undefined || exchange.end !== 'open' || exchange.endedAt < slowBeside(main))
        return undefined
      return finding(
        'no-response-headers',
        `No response headers arrived${name} within ${inMs(exchange.endedAt)}.`,
      )
    })
  if (main.endedAt < MIN_TIME || holdsByCompression(evidence)) return []
  return [finding('no-response-headers', `No response headers arrived within ${inMs(main.endedAt)}.`)]
}

/** Returns the time from which another request is slow, in ms. A busy server needs some time for each request. */
function slowBeside({ headersAt = 0 }: Exchange): number {
  return Math.max(SLOW_HEADERS, 3 * headersAt)
}

/** The same request with one difference, for example ` over HTTP/2`. */
interface Variant {
  readonly name: string
  readonly exchange: Exchange
}

/** Returns the requests that differ from `main` in one way. Empty if `main` was slow itself. */
function variantsOf({ exchanges: { main, http2, identity, second } }: Evidence): Variant[] {
  if (!isStream(main) || (main.headersAt ?? 0) >= SLOW_HEADERS) return []
  return [
    { name: ' over HTTP/2', exchange: http2 },
    { name: ' without Accept-Encoding', exchange: identity },
    { name: ' for a second reader', exchange: second },
  ].filter((each): each is Variant => each.exchange !== undefined)
}

/**
 * Returns the requests whose body begins like that of `main`. The body of a second reader depends on what is published.
 */
function bodiesOf(evidence: Evidence): Variant[] {
  const { main, second } = evidence.exchanges
  if ((main.firstByteAt ?? Number.POSITIVE_INFINITY) - (main.headersAt ?? 0) >= HELD_HEADERS) return []
  return variantsOf(evidence).filter(({ exchange }) => exchange !== second && isStream(exchange))
}

function firstOf(variants: readonly Variant[], judge: (variant: Variant) => Finding | undefined): Finding[] {
  const findings = variants.map(judge).filter((each) => each !== undefined)
  return findings.slice(0, 1)
}

export const headersHeld: Check = (evidence) => {
  const streams = watchedStreams(evidence)
  const [main] = streams
  if (main?.headersAt === undefined || main !== evidence.exchanges.main || isHeldToEnd(evidence)) return []
  const isHeld = streams.every(({ headersAt = 0, firstByteAt }) => {
    return headersAt >= HELD_HEADERS && firstByteAt !== undefined && firstByteAt - headersAt < SAME_WRITE
  })
  if (!isHeld || !(isFasterWithoutBody(evidence, main.headersAt) || isIrregular(streams, evidence.stall)))
    return []
  const message = `The response headers arrived after ${inMs(main.headersAt)}, together with the first bytes of the body.`
  return [finding('headers-held', message)]
}

/** Whether the headers of a response without a body arrived much earlier. */
function isFasterWithoutBody({ exchanges: { head } }: Evidence, headersAt: number): boolean {
  return head?.status === 200 && head.headersAt !== undefined && head.headersAt < headersAt / 4
}

/**
 * Whether the headers of some streams took longer than the others, because they waited for an event. A slow server
 * needs about as long for each.
 */
function isIrregular(streams: readonly Exchange[], stall: number): boolean {
  const times = streams.map(({ headersAt = 0 }) => headersAt)
  const [least, most] = [Math.min(...times), Math.max(...times)]
  return most >= SLOW_HEADERS && most - least >= least / 4 + slackOf(stall)
}

export const slowHeaders: Check = (evidence) => {
  const { main } = evidence.exchanges
  if (headersHeld(evidence).length > 0 || isHeldToEnd(evidence)) return []
  return firstOf(
    [{ name: '', exchange: main }, ...variantsOf(evidence)],
    ({ name, exchange: { headersAt } }) => {
      const limit = name === '' ? SLOW_HEADERS : slowBeside(main)
      if (headersAt === undefined || headersAt < limit + slackOf(evidence.stall)) return undefined
      return finding('slow-headers', `The response headers${name} took ${inMs(headersAt)}.`)
    },
  )
}

export const noBody: Check = (evidence) => {
  const { main } = evidence.exchanges
  if (!isStream(main) || holdsByCompression(evidence)) return []
  return firstOf([{ name: '', exchange: main }, ...bodiesOf(evidence)], ({ name, exchange }) => {
    const waited = exchange.endedAt - (exchange.headersAt ?? 0)
    if (exchange.firstByteAt !== undefined || exchange.end !== 'open' || waited < SLOW_HEADERS)
      return undefined
    return finding('no-body', `No byte of the body arrived${name} within ${inMs(waited)} after the headers.`)
  })
}

export const slowFirstByte: Check = (evidence) => {
  const { main } = evidence.exchanges
  if (!isStream(main)) return []
  return firstOf([{ name: '', exchange: main }, ...bodiesOf(evidence)], ({ name, exchange }) => {
    const { firstByteAt, headersAt } = exchange
    if (firstByteAt === undefined || headersAt === undefined) return undefined
    if (firstByteAt - headersAt < SLOW_HEADERS + slackOf(evidence.stall)) return undefined
    const waited = inMs(firstByteAt - headersAt)
    return finding(
      'slow-first-byte',
      `The first byte of the body arrived${name} ${waited} after the headers.`,
    )
  })
}
