import { describe, expect, test } from 'vitest'
import * as checks from '../../../../src/cli/doctor/checks/cors.ts'
import type { Exchange } from '../../../../src/cli/doctor/exchange.ts'
import { evidence, exchange, response, unanswered } from '../../../support/doctor-evidence.ts'
import { judge, messageOf } from './judge.ts'

const ORIGIN = 'https://app.example'
const COOKIE = { cookie: 'session=1' }

const allow = (origin: string, more: Record<string, string> = {}) => ({
  'access-control-allow-origin': origin,
  ...more,
})
const crossOrigin = exchange({ headers: allow(ORIGIN) })
const preflight = response(204, allow(ORIGIN, { 'access-control-allow-headers': 'Last-Event-ID' }))

function judgeCors(exchanges: Partial<Record<'main' | 'crossOrigin' | 'preflight', Exchange>>): string[] {
  return judge(checks, evidence({ crossOrigin, preflight, ...exchanges }, { origin: ORIGIN }))
}

test.each([429, 503])('the status %i of a limit is no finding about CORS', (status) => {
  expect(judgeCors({ crossOrigin: response(status), preflight: response(status) })).toEqual([])
  expect(judgeCors({ preflight: response(status) })).toEqual([])
})

test('finds nothing if the origin and the header are allowed', () => {
  expect(judgeCors({})).toEqual([])
  expect(judgeCors({ crossOrigin: exchange({ headers: allow('*') }) })).toEqual([])
})

describe('Access-Control-Allow-Origin', () => {
  test.each(['https://other.example', `${ORIGIN}, ${ORIGIN}`, 'null', `${ORIGIN}/`])(
    'is reported if it is %s',
    (value) => {
      expect(judgeCors({ crossOrigin: exchange({ headers: allow(value) }) })).toEqual(['cors-origin problem'])
    },
  )

  test('is reported once if it is missing everywhere', () => {
    const exchanges = { crossOrigin: exchange(), preflight: response(404) }
    expect(judgeCors(exchanges)).toEqual(['cors-origin problem'])
    expect(messageOf(checks.corsOrigin, evidence(exchanges, { origin: ORIGIN }))).toBe(
      `Access-Control-Allow-Origin is missing for the origin ${ORIGIN}.`,
    )
  })

  test.each([exchange(), exchange({ headers: allow('*', { 'access-control-allow-credentials': 'true' }) })])(
    'is not expected without an origin, for that of the server, or of a response that is no stream (%#)',
    (crossOrigin) => {
      const exchanges = { crossOrigin, preflight: response(404) }
      expect(judge(checks, evidence(exchanges))).toEqual([])
      expect(judge(checks, evidence(exchanges, { origin: 'http://localhost:3000' }))).toEqual([])
      expect(judgeCors({ main: response(500), ...exchanges })).toEqual([])
    },
  )

  test('is not judged if the requests were not sent or have failed', () => {
    expect(judge(checks, evidence({}, { origin: ORIGIN }))).toEqual([])
    const failed = unanswered({ end: 'cut', error: 'read ECONNRESET' })
    expect(judgeCors({ crossOrigin: failed, preflight: failed })).toEqual([])
  })
})

describe('credentials', () => {
  const withCookie = (headers: Record<string, string>) => exchange({ headers, requestHeaders: COOKIE })

  test.each([allow('*', { 'access-control-allow-credentials': 'true' }), allow('*'), allow(ORIGIN)])(
    'are reported if a request with a cookie gets %o',
    (headers) => {
      expect(judgeCors({ crossOrigin: withCookie(headers) })).toEqual(['cors-credentials problem'])
    },
  )

  test('may be allowed', () => {
    const headers = allow(ORIGIN, { 'access-control-allow-credentials': 'true' })
    expect(judgeCors({ crossOrigin: withCookie(headers) })).toEqual([])
  })

  test('are not judged without a response, or by one of a limit', () => {
    const failed = unanswered({ requestHeaders: COOKIE })
    expect(judgeCors({ crossOrigin: failed })).toEqual([])
    expect(judgeCors({ crossOrigin: { ...response(429), requestHeaders: COOKIE } })).toEqual([])
  })

  test('need not be allowed for a request without a cookie', () => {
    expect(judgeCors({ crossOrigin: exchange({ headers: allow(ORIGIN) }) })).toEqual([])
    const headers = allow(ORIGIN, { 'access-control-allow-credentials': 'true' })
    expect(judgeCors({ crossOrigin: exchange({ headers }) })).toEqual([])
  })

  test('are reported if they are allowed to every origin, which no browser accepts', () => {
    const headers = allow('*', { 'access-control-allow-credentials': 'true' })
    expect(judgeCors({ crossOrigin: exchange({ headers }) })).toEqual(['cors-credentials warning'])
  })
})

describe('the preflight', () => {
  test.each([
    [response(404, allow(ORIGIN, { 'access-control-allow-headers': '*' })), 'The status is 404'],
    [response(301, allow(ORIGIN, { 'access-control-allow-headers': '*' })), 'The status is 301'],
    [response(204, { 'access-control-allow-headers': '*' }), 'has no Access-Control-Allow-Origin'],
    [response(204, allow(ORIGIN)), 'allows no headers'],
    [response(200, allow(ORIGIN, { 'access-control-allow-headers': 'X-A, X-B' })), 'allows only X-A, X-B'],
  ])('is reported with its fault (%#)', (refused, fault) => {
    expect(judgeCors({ preflight: refused })).toEqual(['cors-preflight warning'])
    const found = evidence({ crossOrigin, preflight: refused }, { origin: ORIGIN })
    expect(messageOf(checks.corsPreflight, found)).toContain(fault)
  })

  test('may allow all headers, but not to a request with cookies', () => {
    const any = response(204, allow(ORIGIN, { 'access-control-allow-headers': '*' }))
    expect(judgeCors({ preflight: any })).toEqual([])
    const main = exchange({ requestHeaders: COOKIE })
    expect(judgeCors({ main, preflight: any })).toEqual(['cors-preflight warning'])
  })
})
