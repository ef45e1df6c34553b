/** A response header that names a proxy: its presence, or a value that matches. */
type Trace = readonly [header: string, value?: RegExp]

interface KnownProxy {
  readonly name: string
  readonly traces: readonly Trace[]
  /** Headers that show that it is a part of another proxy. */
  readonly isPartOf?: readonly Trace[]
}

const FASTLY: readonly Trace[] = [
  ['x-fastly-request-id'],
  ['fastly-restarts'],
  ['x-served-by', /^cache-[a-z]/],
]

// Networks first, because they are closest to the client. No header names haproxy or Traefik.
const KNOWN: readonly KnownProxy[] = [
  { name: 'Cloudflare', traces: [['cf-ray'], ['server', /^cloudflare/i]] },
  { name: 'CloudFront', traces: [['x-amz-cf-id'], ['x-amz-cf-pop'], ['via', /cloudfront/i]] },
  { name: 'Fastly', traces: FASTLY },
  {
    name: 'Akamai',
    traces: [
      ['akamai-grn'],
      ['x-akamai-request-id'],
      ['x-akamai-transformed'],
      ['server', /^Akamai/i],
      ['via', /akamai/i],
    ],
  },
  { name: 'Vercel', traces: [['x-vercel-id'], ['server', /^Vercel/i]] },
  { name: 'Netlify', traces: [['x-nf-request-id'], ['server', /^Netlify/i]] },
  { name: 'Fly.io', traces: [['fly-request-id'], ['server', /^Fly\b/i], ['via', /\bfly\.io\b/i]] },
  { name: 'Heroku', traces: [['via', /\b(heroku|vegur)/i]] },
  { name: 'Render', traces: [['x-render-origin-server'], ['rndr-id']] },
  { name: 'Railway', traces: [['x-railway-request-id'], ['server', /^railway/i]] },
  { name: 'Azure Front Door', traces: [['x-azure-ref']] },
  { name: 'Azure Application Gateway', traces: [['server', /^Microsoft-Azure-Application-Gateway/i]] },
  {
    name: 'Google Cloud',
    traces: [
      ['via', /\bgoogle\b/i],
      ['server', /^Google Frontend/i],
    ],
  },
  { name: 'AWS API Gateway', traces: [['x-amz-apigw-id'], ['apigw-requestid']] },
  { name: 'AWS Application Load Balancer', traces: [['server', /^awselb/i], ['x-amzn-trace-id']] },
  { name: 'bunny.net', traces: [['server', /^BunnyCDN/i], ['cdn-pullzone']] },
  { name: 'Kong', traces: [['x-kong-proxy-latency'], ['server', /^kong/i], ['via', /\bkong\b/i]] },
  { name: 'Envoy', traces: [['x-envoy-upstream-service-time'], ['server', /\benvoy$/i]] },
  { name: 'varnish', traces: [['x-varnish'], ['via', /\bvarnish/i]], isPartOf: FASTLY },
  { name: 'squid', traces: [['via', /\bsquid\b/i], ['x-squid-error']] },
  {
    name: 'Apache Traffic Server',
    traces: [
      ['via', /ApacheTrafficServer/i],
      ['server', /^ATS\b/],
    ],
  },
  {
    name: 'h2o',
    traces: [
      ['server', /^h2o\b/i],
      ['via', /\bh2o\b/i],
    ],
  },
  {
    name: 'nghttpx',
    traces: [
      ['server', /^nghttpx/i],
      ['via', /\bnghttpx\b/i],
    ],
  },
  {
    name: 'caddy',
    traces: [
      ['server', /^caddy/i],
      ['via', /\bcaddy\b/i],
    ],
  },
  { name: 'nginx', traces: [['server', /^(nginx|openresty|tengine)/i], ['x-nginx-cache']] },
  { name: 'apache', traces: [['server', /^apache\b/i]] },
  { name: 'lighttpd', traces: [['server', /^lighttpd/i]] },
  { name: 'LiteSpeed', traces: [['server', /^litespeed/i], ['x-litespeed-cache']] },
  {
    name: 'IIS',
    traces: [
      ['server', /^Microsoft-IIS/i],
      ['x-powered-by', /\bARR\b/],
    ],
  },
]

/** The names of all proxies that are recognized. */
export const KNOWN_PROXIES: readonly string[] = KNOWN.map(({ name }) => name)

/**
 * Returns the proxies and servers that response headers name, for example `['Cloudflare', 'nginx']`. An unknown one is
 * named as in `Via`. The names of `headers` are in lower case.
 */
export function proxiesIn(headers: Readonly<Record<string, string>>): string[] {
  const found = KNOWN.filter(
    ({ traces, isPartOf = [] }) => hasTrace(headers, traces) && !hasTrace(headers, isPartOf),
  )
  const names = found.map(({ name }) => name)
  return [...names, ...unknownIn(headers)]
}

function hasTrace(headers: Readonly<Record<string, string>>, traces: readonly Trace[]): boolean {
  return traces.some(([header, value]) => {
    const given = Object.hasOwn(headers, header) ? headers[header] : undefined
    return given !== undefined && (value === undefined || value.test(given))
  })
}

// RFC 9110 7.6.3: `Via: 1.1 name (comment), HTTP/2 other`.
function unknownIn({ via = '' }: Readonly<Record<string, string>>): string[] {
  const entries = via
    .slice(0, 1000)
    .split(',')
    .map((entry) => entry.trim())
  const unknown = entries.filter((entry) => !KNOWN.some(({ traces }) => hasTrace({ via: entry }, traces)))
  const names = unknown.map((entry) => entry.split(/\s+/)[1] ?? '').filter((name) => name !== '')
  return [...new Set(names)]
}
