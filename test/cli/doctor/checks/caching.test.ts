import { describe, expect, test } from 'vitest'
import * as checks from '../../../../src/cli/doctor/checks/caching.ts'
import { evidence, exchange, response } from '../../../support/doctor-evidence.ts'
import { judge, messageOf } from './judge.ts'

const withHeaders = (headers: Record<string, string | null>) => exchange({ headers })
const ORIGIN = 'https://app.example'
const DATE = 'Sat, 28 Nov 2026 07:00:00 GMT'

describe('Cache-Control', () => {
  test('is reported if it is missing', () => {
    const main = withHeaders({ 'cache-control': null })
    expect(judge(checks, evidence({ main }))).toEqual(['cacheable warning', 'transformable warning'])
  })

  test('is reported if a cache may keep the stream', () => {
    const main = withHeaders({ 'cache-control': 'public, max-age=60, no-transform' })
    expect(judge(checks, evidence({ main }))).toEqual(['cacheable warning'])
  })

  test.each(['no-cache', 'No-Store', 'private', 'max-age=0', 's-maxage=0'])('may be %s', (value) => {
    const main = withHeaders({ 'cache-control': `${value}, no-transform` })
    expect(judge(checks, evidence({ main }))).toEqual([])
  })

  test('is reported if it allows compression', () => {
    const main = withHeaders({ 'cache-control': 'no-store' })
    expect(judge(checks, evidence({ main }))).toEqual(['transformable warning'])
    expect(messageOf(checks.transformable, evidence({ main }))).toBe(
      'Cache-Control is no-store, without no-transform.',
    )
  })
})

describe('X-Accel-Buffering', () => {
  test.each(['Apache/2.4.62', 'lighttpd/1.4.69', 'Microsoft-IIS/10.0'])(
    'is reported if it is missing behind %s, which may be the server itself',
    (server) => {
      const main = withHeaders({ 'x-accel-buffering': null, server })
      expect(judge(checks, evidence({ main }))).toEqual(['proxy-buffering-allowed warning'])
    },
  )

  test.each([null, 'yes'])('is reported if it is %s', (value) => {
    const main = withHeaders({ 'x-accel-buffering': value })
    expect(judge(checks, evidence({ main }))).toEqual(['proxy-buffering-allowed warning'])
  })

  test.each(['nginx/1.22.1', 'openresty', 'Tengine', 'Angie/1.8'])(
    'is not required behind %s, which removes it',
    (server) => {
      const main = withHeaders({ 'x-accel-buffering': null, server })
      expect(judge(checks, evidence({ main }))).toEqual([])
    },
  )

  test.each([
    { 'cf-ray': '8' },
    { via: '1.1 varnish' },
    { server: 'cloudflare' },
    { 'x-served-by': 'edge-7' },
    { 'x-cache': 'MISS' },
    { 'x-envoy-upstream-service-time': '3' },
  ])('is only noted behind another proxy, because nginx may be behind it: %o', (headers) => {
    const main = withHeaders({ 'x-accel-buffering': null, ...headers })
    expect(judge(checks, evidence({ main }))).toEqual(['proxy-buffering-allowed note'])
  })
})

describe('a cache', () => {
  test('is reported if it served the first reader', () => {
    const main = withHeaders({ age: '30' })
    expect(judge(checks, evidence({ main, second: withHeaders({ age: '31' }) }))).toEqual(['aged problem'])
  })

  test('is no finding if it has passed the request on, as varnish states with the age 0', () => {
    const [main, second] = [withHeaders({ age: '0' }), withHeaders({ age: '0', 'x-varnish': '32770' })]
    expect(judge(checks, evidence({ main, second }))).toEqual([])
  })

  test.each([
    { age: '2' },
    { 'x-varnish': '5 3' },
    { 'x-cache': 'HIT from a' },
    { 'cf-cache-status': 'HIT' },
    { 'x-cache-status': 'HIT' },
    { 'x-proxy-cache': 'HIT' },
    { 'x-cache': 'MISS, HIT' },
    { 'x-cache': 'TCP_MEM_HIT from a23-1-2-3.deploy.akamaitechnologies.com' },
    { 'x-cache': 'RefreshHit from cloudfront' },
    { 'x-cache-status': 'STALE' },
    { 'cf-cache-status': 'REVALIDATED' },
    { 'x-vercel-cache': 'HIT' },
    { 'cdn-cache': 'HIT' },
    { 'cache-status': '"Netlify Edge"; hit' },
    { 'cache-status': 'Origin; fwd=uri-miss, Edge; hit; ttl=10' },
  ])('is reported if it served the second reader with %o', (headers) => {
    expect(judge(checks, evidence({ second: withHeaders(headers) }))).toEqual(['cached problem'])
  })

  test('is no finding if both got their headers with the same event, long after the first request', () => {
    const main = exchange({ headers: { date: DATE }, sentAt: 0, headersAt: 3_300 })
    const second = exchange({ headers: { date: DATE }, sentAt: 2_100, headersAt: 1_200 })
    expect(judge(checks, evidence({ main, second }))).toEqual([])
  })

  test('is reported if the second reader got the date of the first one', () => {
    const main = exchange({ headers: { date: DATE }, sentAt: 0 })
    const second = exchange({ headers: { date: DATE }, sentAt: 2_500.5 })
    expect(judge(checks, evidence({ main, second }))).toEqual(['cached problem'])
    expect(messageOf(checks.cached, evidence({ main, second }))).toContain('2500 ms between')
  })

  test('is no finding if both were sent in the same second, or if events are repeated to each reader', () => {
    const main = exchange({ headers: { date: DATE }, sentAt: 0 })
    const soon = exchange({ headers: { date: DATE }, sentAt: 900 })
    expect(judge(checks, evidence({ main, second: soon }))).toEqual([])
    const [first, undated] = [exchange({ sentAt: 0 }), exchange({ sentAt: 3_000 })]
    expect(judge(checks, evidence({ main: first, second: undated }))).toEqual([])
    const later = exchange({ headers: { date: 'Sat, 28 Nov 2026 07:00:03 GMT' }, sentAt: 3_000 })
    expect(judge(checks, evidence({ main, second: later }))).toEqual([])
  })

  test.each(['MISS', 'DYNAMIC', 'BYPASS', 'TCP_MISS from a', 'hit-for-pass', 'HIT-PASS', 'whitelist'])(
    'is no finding if its status is %s',
    (status) => {
      const second = withHeaders({ 'cf-cache-status': status, 'x-cache': status })
      expect(judge(checks, evidence({ second }))).toEqual([])
    },
  )
})

describe('Vary', () => {
  const page = { 'content-type': 'application/json', 'cache-control': 'public, max-age=60' }

  test('is reported if a page that a cache may keep depends on Accept', () => {
    const llmAccept = response(200, page, '{}')
    const found = evidence({ main: withHeaders({ vary: 'Accept' }), llmAccept })
    expect(judge(checks, found)).toEqual(['vary warning'])
    expect(messageOf(checks.vary, found)).toBe('The response depends on Accept, and has no Vary: Accept.')
  })

  test('is only noted if no cache may keep a response', () => {
    const anyAccept = response(
      200,
      { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' },
      '\n',
    )
    expect(judge(checks, evidence({ anyAccept }))).toEqual(['vary note'])
  })

  test('is not required if the format is in the URL, as in the requests for the other formats', () => {
    expect(judge(checks, evidence({ longPoll: response(200, page, '{}') }))).toEqual([])
  })

  test('may have several names, or the wildcard', () => {
    const llmAccept = response(200, { ...page, vary: 'Accept-Encoding, accept' }, '{}')
    expect(judge(checks, evidence({ main: withHeaders({ vary: '*' }), llmAccept }))).toEqual([])
  })

  test('is not required of a refusal, nor if the response is the same', () => {
    expect(judge(checks, evidence({ llmAccept: response(406), anyAccept: exchange() }))).toEqual([])
  })

  test('is required of both responses, each of which a cache may keep', () => {
    const varying = { ...page, vary: 'Accept' }
    const [kept, main] = [response(200, varying, '{}'), withHeaders({ vary: 'Accept' })]
    expect(judge(checks, evidence({ main, llmAccept: kept }))).toEqual([])
    expect(judge(checks, evidence({ llmAccept: kept }))).toEqual(['vary note'])
    expect(judge(checks, evidence({ llmAccept: response(200, page, '{}') }))).toEqual(['vary warning'])
  })

  test('is not required if both streams have the same encoding', () => {
    const gzip = withHeaders({ 'content-encoding': 'gzip' })
    expect(judge(checks, evidence({ main: gzip, identity: gzip }))).toEqual([])
    const varying = withHeaders({ vary: 'accept-encoding', 'content-encoding': 'gzip' })
    expect(judge(checks, evidence({ main: varying, identity: exchange() }))).toEqual(['vary note'])
  })

  test('is noted if the encoding of a private stream depends on Accept-Encoding', () => {
    const main = withHeaders({ 'content-encoding': 'gzip' })
    expect(judge(checks, evidence({ main, identity: exchange() }))).toEqual(['vary note'])
  })

  test('is noted if the response repeats the origin', () => {
    const crossOrigin = withHeaders({ 'access-control-allow-origin': ORIGIN })
    expect(judge(checks, evidence({ crossOrigin }, { origin: ORIGIN }))).toEqual(['vary note'])
    const varying = withHeaders({ 'access-control-allow-origin': ORIGIN, vary: 'Origin' })
    expect(judge(checks, evidence({ crossOrigin: varying }, { origin: ORIGIN }))).toEqual([])
    const any = withHeaders({ 'access-control-allow-origin': '*' })
    expect(judge(checks, evidence({ crossOrigin: any }, { origin: ORIGIN }))).toEqual([])
  })
})

test('responses that are no event streams are not judged', () => {
  const copy = withHeaders({ 'x-cache': 'HIT' })
  expect(judge(checks, evidence({ main: response(500), second: copy }))).toEqual([])
  expect(judge(checks, evidence({ main: response(500, { age: '3' }), anyAccept: exchange() }))).toEqual([])
  expect(judge(checks, evidence({ second: response(500, { age: '3' }) }))).toEqual([])
})
