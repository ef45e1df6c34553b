import { finding } from '../catalog.ts'
import type { Evidence } from '../evidence.ts'
import type { Exchange } from '../exchange.ts'
import type { Finding } from '../finding.ts'
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
  if (main.status !== undefined || main.end !== 'open')
    return firstOf(variantsOf(evidence), ({ exchange, name }) => {
      if (exchange.status !== undefined || exchange.end !== 'open' || exchange.endedAt < slowBeside(main))
        return undefined
      return finding(
        'no-response-headers',
        `No response headers arrived${name} within ${inMs(exchange.endedAt)}.`,
      )
    })
  if (main.endedAt < LEAST || holdsByCompression(evidence)) return []
  return [finding('no-response-headers', `No response headers arrived within ${inMs(main.endedAt)}.`)]
}

/** Returns the time from which another request is slow, in ms. A server that is busy needs some time for each. */
function slowBeside({ headersAt = 0 }: Exchange): number {
  return Math.max(SLOW, 3 * headersAt)
}

/** Returns by how much a time may be too long because this process, or the whole machine, stood still. In ms. */
function slackOf({ stall }: Evidence): number {
  return 2 * stall
}

/** The same stream in another way, for example ` over HTTP/2`. */
interface Variant {
  readonly name: string
  readonly exchange: Exchange
}

/** Returns the requests that differ from `main` in one way, if that was not slow itself. */
function variantsOf({ exchanges: { main, http2, identity, second } }: Evidence): Variant[] {
  if (!isStream(main) || (main.headersAt ?? 0) >= SLOW) return []
  return [
    { name: ' over HTTP/2', exchange: http2 },
    { name: ' without Accept-Encoding', exchange: identity },
    { name: ' for a second reader', exchange: second },
  ].filter((each): each is Variant => each.exchange !== undefined)
}

/** Returns those whose body begins as that of `main`. What a second reader gets depends on what is published. */
function bodiesOf(evidence: Evidence): Variant[] {
  const { main, second } = evidence.exchanges
  if ((main.firstByteAt ?? Number.POSITIVE_INFINITY) - (main.headersAt ?? 0) >= HELD) return []
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
  if (headersHeld(evidence).length > 0 || isHeldToEnd(evidence)) return []
  return firstOf(
    [{ name: '', exchange: main }, ...variantsOf(evidence)],
    ({ name, exchange: { headersAt } }) => {
      const limit = name === '' ? SLOW : slowBeside(main)
      if (headersAt === undefined || headersAt < limit + slackOf(evidence)) return undefined
      return finding('slow-headers', `The response headers${name} took ${inMs(headersAt)}.`)
    },
  )
}

export const noBody: Check = (evidence) => {
  const { main } = evidence.exchanges
  if (!isStream(main) || holdsByCompression(evidence)) return []
  return firstOf([{ name: '', exchange: main }, ...bodiesOf(evidence)], ({ name, exchange }) => {
    const waited = exchange.endedAt - (exchange.headersAt ?? 0)
    if (exchange.firstByteAt !== undefined || exchange.end !== 'open' || waited < SLOW) return undefined
    return finding('no-body', `No byte of the body arrived${name} within ${inMs(waited)} after the headers.`)
  })
}

export const slowFirstByte: Check = (evidence) => {
  const { main } = evidence.exchanges
  if (!isStream(main)) return []
  return firstOf([{ name: '', exchange: main }, ...bodiesOf(evidence)], ({ name, exchange }) => {
    const { firstByteAt, headersAt } = exchange
    if (firstByteAt === undefined || headersAt === undefined) return undefined
    if (firstByteAt - headersAt < SLOW + slackOf(evidence)) return undefined
    const waited = inMs(firstByteAt - headersAt)
    return finding(
      'slow-first-byte',
      `The first byte of the body arrived${name} ${waited} after the headers.`,
    )
  })
}
