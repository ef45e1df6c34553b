import { excerpt } from '../../printable.ts'
import { finding } from '../catalog.ts'
import type { Exchange } from '../exchange.ts'
import type { Check } from './check.ts'
import { isEventStream, isPrivate, isProxied, listOf, mediaTypeOf } from './headers.ts'
import { absolute, encodingOf } from './streams.ts'

export const cacheable: Check = ({ exchanges: { main } }) => {
  if (!isEventStream(main) || isPrivate(main)) return []
  return [finding('cacheable', `${cacheControlOf(main)}, so that a cache may keep the stream.`)]
}

export const transformable: Check = ({ exchanges: { main } }) => {
  if (!isEventStream(main) || listOf(main, 'cache-control').includes('no-transform')) return []
  return [finding('transformable', `${cacheControlOf(main)}, without no-transform.`)]
}

export const proxyBufferingAllowed: Check = ({ exchanges: { main } }) => {
  if (!isEventStream(main) || listOf(main, 'x-accel-buffering').includes('no')) return []
  const value = main.headers.get('x-accel-buffering')
  if (value !== undefined)
    return [finding('proxy-buffering-allowed', `X-Accel-Buffering is ${excerpt(value)}.`)]
  // nginx removes the header from the response.
  if (/nginx|openresty|tengine|angie/i.test(main.headers.get('server') ?? '')) return []
  const message = 'The response has no X-Accel-Buffering: no.'
  if (!isProxied(main)) return [finding('proxy-buffering-allowed', message)]
  const seen = `${message} If nginx is behind the other proxy, it has removed the header.`
  return [finding('proxy-buffering-allowed', seen, 'note')]
}

export const aged: Check = ({ exchanges: { main } }) => {
  const age = ageOf(main)
  if (!isEventStream(main) || !(age > 0)) return []
  return [finding('aged', `A cache served the stream after ${age} s (Age).`)]
}

// Does not compare events, because two readers may receive the same events without a cache, for example in a replay.
export const cached: Check = ({ exchanges: { main, second } }) => {
  if (!isEventStream(main) || !isEventStream(second) || ageOf(main) > 0) return []
  const evidence = hitOf(second) ?? sameDateOf(main, second)
  return evidence === undefined ? [] : [finding('cached', `A second reader got a copy: ${evidence}.`)]
}

export const vary: Check = ({ origin, exchanges: { main, identity, anyAccept, llmAccept, crossOrigin } }) => {
  const byAccept = [anyAccept, llmAccept].filter((each) => each?.status === 200 && differs(main, each))
  const byEncoding = identity && encodingOf(main) !== encodingOf(identity) ? [identity] : []
  const byOrigin = crossOrigin?.headers.get('access-control-allow-origin') === origin ? [crossOrigin] : []
  const findings = [
    varyOn('Accept', byAccept.length > 0 ? [main, ...byAccept] : []),
    varyOn('Accept-Encoding', byEncoding.length > 0 ? [main, ...byEncoding] : []),
    varyOn('Origin', origin === undefined ? [] : byOrigin),
  ]
  return isEventStream(main) ? findings.flat() : []
}

/** Reports responses that depend on a request header. Without a response that caches may store, it is only a note. */
function varyOn(name: string, responses: ReadonlyArray<Exchange | undefined>) {
  const lacking = responses.filter((each) => each !== undefined && !hasVary(each, name))
  if (lacking.length === 0) return []
  const level = lacking.every((each) => each && isPrivate(each)) ? 'note' : 'warning'
  return [finding('vary', `The response depends on ${name}, and has no Vary: ${name}.`, level)]
}

function hasVary(exchange: Exchange, name: string): boolean {
  return listOf(exchange, 'vary').some((each) => each === '*' || each === name.toLowerCase())
}

function differs(main: Exchange, other: Exchange | undefined): boolean {
  return other !== undefined && mediaTypeOf(main) !== mediaTypeOf(other)
}

function cacheControlOf({ headers }: Exchange): string {
  const value = headers.get('cache-control')
  return value === undefined ? 'There is no Cache-Control' : `Cache-Control is ${excerpt(value)}`
}

function ageOf({ headers }: Exchange): number {
  return Number(headers.get('age') ?? 0)
}

/** Returns the header by which a cache states that it had the response. */
function hitOf(exchange: Exchange): string | undefined {
  if (ageOf(exchange) > 0) return `Age is ${ageOf(exchange)}`
  // varnish states two ids for a copy: that of this request, and that of the request that stored it.
  const ids = exchange.headers.get('x-varnish') ?? ''
  if (/^\d+ \d+$/.test(ids)) return `X-Varnish is ${excerpt(ids)}`
  const name = CACHE_STATUSES.find((each) => HIT.test(exchange.headers.get(each) ?? ''))
  return name && `${name} is ${excerpt(exchange.headers.get(name) ?? '')}`
}

// RFC 9211 defines the last one.
const CACHE_STATUSES = [
  'x-cache',
  'cf-cache-status',
  'x-cache-status',
  'x-proxy-cache',
  'x-vercel-cache',
  'cdn-cache',
  'cache-status',
]

// Matches for example `HIT`, `TCP_MEM_HIT` and `RefreshHit`, but not `hit-for-pass`, which means a forwarded request.
const HIT = /(?<![a-z])(refresh)?hit(?![a-z-]| for)|\b(stale|updating|revalidated)\b/i

/** Returns the date that both responses have, if a server would have sent another one for the second request. */
function sameDateOf(main: Exchange, second: Exchange): string | undefined {
  const date = second.headers.get('date')
  if (date === undefined || date !== main.headers.get('date')) return undefined
  // A `Date` has a resolution of 1 s, and that of a slow response may be as late as its headers.
  if (second.sentAt - absolute(main, main.headersAt ?? 0) < 2_000) return undefined
  const between = second.sentAt - main.sentAt
  return `both have Date: ${excerpt(date)}, with ${Math.floor(between)} ms between the requests`
}
