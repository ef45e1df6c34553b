import { excerpt } from '../../printable.ts'
import { finding } from '../catalog.ts'
import type { Evidence } from '../evidence.ts'
import type { Exchange } from '../exchange.ts'
import type { Check } from './check.ts'
import { isEventStream, isLimited, listOf } from './headers.ts'

export const corsOrigin: Check = (evidence) => {
  const { origin, exchanges } = evidence
  const { crossOrigin } = exchanges
  if (!isExamined(evidence) || !crossOrigin || isAllowed(crossOrigin, origin)) return []
  const value = crossOrigin.headers.get('access-control-allow-origin')
  const found = value === undefined ? 'is missing' : `is ${excerpt(value)}`
  return [finding('cors-origin', `Access-Control-Allow-Origin ${found} for the origin ${origin}.`)]
}

export const corsCredentials: Check = (evidence) => {
  const { origin, exchanges } = evidence
  const { crossOrigin } = exchanges
  if (!isExamined(evidence) || crossOrigin?.status === undefined) return []
  if (isLimited(crossOrigin) || !isAllowed(crossOrigin, origin)) return []
  const isAny = crossOrigin.headers.get('access-control-allow-origin') === '*'
  const allows = crossOrigin.headers.get('access-control-allow-credentials')
  if (crossOrigin.requestHeaders.cookie !== undefined) {
    if (allows === 'true' && !isAny) return []
    const found = isAny ? 'Access-Control-Allow-Origin is *' : 'Access-Control-Allow-Credentials is not true'
    return [finding('cors-credentials', `${found}, and the request has a cookie.`)]
  }
  if (!isAny || allows !== 'true') return []
  const message = 'Access-Control-Allow-Credentials is true, and Access-Control-Allow-Origin is *.'
  return [finding('cors-credentials', message, 'warning')]
}

export const corsPreflight: Check = (evidence) => {
  const { origin, exchanges } = evidence
  const { main, preflight, crossOrigin } = exchanges
  if (!isExamined(evidence) || preflight?.status === undefined || isLimited(preflight)) return []
  // Unless a page of the origin may read the stream, the preflight is irrelevant.
  if (crossOrigin && !isAllowed(crossOrigin, origin)) return []
  const fault = faultOf(preflight, origin, main.requestHeaders.cookie !== undefined)
  return fault === undefined ? [] : [finding('cors-preflight', fault)]
}

function isExamined({ origin, url, exchanges: { main } }: Evidence): boolean {
  return origin !== undefined && origin !== url.origin && isEventStream(main)
}

/** Performs the CORS check of the Fetch standard. */
function isAllowed(exchange: Exchange, origin: string | undefined): boolean {
  const value = exchange.headers.get('access-control-allow-origin')
  return exchange.status === undefined || isLimited(exchange) || value === '*' || value === origin
}

function faultOf(preflight: Exchange, origin: string | undefined, hasCookie: boolean): string | undefined {
  const { status = 0, headers } = preflight
  if (status > 299) return `The status is ${status} for the preflight.`
  if (!isAllowed(preflight, origin)) return 'The preflight has no Access-Control-Allow-Origin for the origin.'
  const allowed = listOf(preflight, 'access-control-allow-headers')
  // [spec] A wildcard has no special meaning with credentials.
  if (allowed.includes('last-event-id') || (allowed.includes('*') && !hasCookie)) return undefined
  const value = headers.get('access-control-allow-headers')
  return `The preflight ${value === undefined ? 'allows no headers' : `allows only ${excerpt(value)}`}.`
}
