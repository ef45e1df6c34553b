import { expect, test } from 'vitest'
import { proxiesIn } from '../../../src/cli/doctor/proxies.ts'

// Headers as the proxies send them.
test.each([
  [{ server: 'nginx/1.22.1' }, ['nginx']],
  [{ server: 'cloudflare', 'cf-ray': '8a1-FRA' }, ['Cloudflare']],
  [{ via: '1.1 0a1b.cloudfront.net (CloudFront)', 'x-amz-cf-id': 'x', 'x-cache': 'Miss' }, ['CloudFront']],
  [{ via: '1.1 varnish', 'x-served-by': 'cache-fra-1', 'x-timer': 'S1' }, ['Fastly']],
  [{ via: '1.1 varnish (Varnish/7.1)', 'x-varnish': '2', age: '0' }, ['varnish']],
  [{ server: 'Fly/1', via: '2 fly.io, 1.1 fly.io', 'fly-request-id': '01' }, ['Fly.io']],
  [{ 'x-vercel-id': 'fra1::a', server: 'Vercel' }, ['Vercel']],
  [{ 'x-akamai-transformed': '9', via: '1.1 akamai.net(ghost) (AkamaiGHost)' }, ['Akamai']],
  [{ via: '1.1 heroku-router' }, ['Heroku']],
  [{ via: '1.1 google, 1.1 Caddy' }, ['Google Cloud', 'caddy']],
  [{ server: 'istio-envoy', 'x-envoy-upstream-service-time': '3' }, ['Envoy']],
  [{ via: 'http/1.1 ats (ApacheTrafficServer/9.2.9)', server: 'ATS/9.2.9' }, ['Apache Traffic Server']],
  [{ via: '1.1 host (squid/5.7)', 'x-cache': 'MISS from host' }, ['squid']],
  [{ server: 'lighttpd/1.4.69' }, ['lighttpd']],
  [{ server: 'Apache/2.4.62 (Debian)' }, ['apache']],
  [
    { via: '1.1 gateway.internal, 1.1 gateway.internal:8080 (x), 1.0' },
    ['gateway.internal', 'gateway.internal:8080'],
  ],
  [{ server: 'uvicorn', 'x-powered-by': 'Express' }, []],
  [{}, []],
])('proxiesIn names the proxies of %j', (headers, names) => {
  expect(proxiesIn(headers)).toEqual(names)
})
