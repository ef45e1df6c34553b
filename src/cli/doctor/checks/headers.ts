import type { Exchange } from '../exchange.ts'

/** Returns the media type of a response in lower case without its parameters, '' if there is none. */
export function mediaTypeOf({ headers }: Exchange): string {
  const [type = ''] = (headers.get('content-type') ?? '').split(';')
  return type.trim().toLowerCase()
}

/** True if the response is an event stream that a browser would read. */
export function isEventStream(
  exchange: Exchange | undefined,
): exchange is Exchange & { readonly status: 200 } {
  return exchange?.status === 200 && mediaTypeOf(exchange) === 'text/event-stream'
}

/**
 * True if the server or a proxy limits the streams or requests of a client. The doctor sends many at once, so such a
 * response does not describe the request.
 */
export function isLimited({ status }: Exchange): boolean {
  return status === 429 || status === 503
}

/** Returns the elements of a header that is a list, in lower case. */
export function listOf({ headers }: Exchange, name: string): string[] {
  const elements = (headers.get(name) ?? '').split(',')
  return elements.map((element) => element.trim().toLowerCase()).filter((element) => element !== '')
}

/** True if `Cache-Control` keeps shared caches from serving the response to another client. */
export function isPrivate(exchange: Exchange): boolean {
  const safe = ['no-cache', 'no-store', 'private', 'max-age=0', 's-maxage=0']
  return listOf(exchange, 'cache-control').some((directive) => safe.includes(directive))
}

/** True if a response header shows that a proxy or a CDN has passed the response on. */
export function isProxied({ headers }: Exchange): boolean {
  const names = [
    'via',
    'cf-ray',
    'x-served-by',
    'x-cache',
    'x-varnish',
    'x-amz-cf-id',
    'x-envoy-upstream-service-time',
  ]
  return names.some((name) => headers.has(name)) || PROXY_SERVERS.test(headers.get('server') ?? '')
}

const PROXY_SERVERS = /cloudflare|varnish|haproxy|caddy|envoy|squid|h2o|ats|akamai|cloudfront|vercel|fly/i
