import { describe, expect, test } from 'vitest'
import * as checks from '../../../../src/cli/doctor/checks/response.ts'
import { evidence, exchange, response, unanswered } from '../../../support/doctor-evidence.ts'
import { judge, messageOf } from './judge.ts'

const LOGIN_FORM = '<html><form><input name=name><input type="password"></form></html>'

describe('the status', () => {
  test.each([400, 401, 403, 404, 405, 500, 503])('reports the status %i', (status) => {
    expect(judge(checks, evidence({ main: response(status) }))).toEqual(['status problem'])
  })

  test('names the option that an endpoint with a login requires', () => {
    expect(messageOf(checks.status, evidence({ main: response(401) }))).toBe(
      'The status is 401. Add the credentials that the endpoint requires with --header or --cookie.',
    )
    expect(messageOf(checks.status, evidence({ main: response(403) }))).toContain('--cookie')
    expect(messageOf(checks.status, evidence({ main: response(405) }))).toContain('--data')
  })

  test('notes the status 204, which ends the reconnects of a client in order', () => {
    expect(judge(checks, evidence({ main: response(204) }))).toEqual(['status note'])
  })

  test('finds nothing in a healthy stream, nor in a request without a response', () => {
    expect(judge(checks, evidence())).toEqual([])
    expect(judge(checks, evidence({ main: unanswered() }))).toEqual([])
  })
})

describe('a redirect', () => {
  test('is reported with its resolved target', () => {
    const redirected = evidence({ main: response(307, { location: '/v2/events' }) })
    expect(judge(checks, redirected)).toEqual(['redirect problem'])
    expect(messageOf(checks.redirect, redirected)).toBe(
      'The status is 307, to "http://localhost:3000/v2/events".',
    )
  })

  test('is reported if its target cannot be parsed', () => {
    expect(judge(checks, evidence({ main: response(302, { location: 'http://[' }) }))).toEqual([
      'redirect problem',
    ])
  })

  test.each(['/login?next=/events', 'https://id.example/oauth2/authorize', '/users/sign_in', '/sso'])(
    'to %s is a login page',
    (location) => {
      expect(judge(checks, evidence({ main: response(302, { location }) }))).toEqual(['login-page problem'])
    },
  )

  test('to a page whose name only contains such a word is not a login page', () => {
    const main = response(302, { location: '/blogins/authorized-events' })
    expect(judge(checks, evidence({ main }))).toEqual(['redirect problem'])
  })
})

describe('the type', () => {
  test('is reported if it is not that of an event stream', () => {
    const main = exchange({ headers: { 'content-type': 'text/plain; charset=utf-8' } })
    expect(judge(checks, evidence({ main }))).toEqual(['content-type problem'])
    expect(messageOf(checks.contentType, evidence({ main }))).toBe('The type is "text/plain".')
  })

  test.each([
    ['application/x-ndjson; charset=utf-8', '{"event":"tick","data":1}\n'],
    ['application/json; charset=utf-8', '{"events":[],"lastEventId":"1"}'],
  ])('%s is only noted, because browsers do not open such a URL as a stream', (type, body) => {
    const main = response(200, { 'content-type': type }, body)
    expect(judge(checks, evidence({ main }))).toEqual(['content-type note'])
    expect(messageOf(checks.contentType, evidence({ main }))).toContain('no event stream to examine')
  })

  test('of any other JSON is reported', () => {
    const main = response(200, { 'content-type': 'application/json' }, '{"error":"wrong route"}')
    expect(judge(checks, evidence({ main }))).toEqual(['content-type problem'])
  })

  test('is reported if it is missing', () => {
    const main = exchange({ headers: { 'content-type': null } })
    expect(messageOf(checks.contentType, evidence({ main }))).toBe('The response has no header Content-Type.')
  })

  test('may be in upper case and have parameters', () => {
    const main = exchange({ headers: { 'content-type': 'Text/Event-Stream ;charset="UTF-8"; v=1' } })
    expect(judge(checks, evidence({ main }))).toEqual([])
  })

  test.each([LOGIN_FORM, '<title>Sign in - Example</title>'])(
    'of a login page is reported as such',
    (page) => {
      const main = response(200, { 'content-type': 'text/html' }, page)
      expect(judge(checks, evidence({ main }))).toEqual(['login-page problem'])
    },
  )

  test.each(['<input ', '<title>', '<input type '])(
    'is read in linear time from a page of many %s',
    (tag) => {
      const main = response(200, { 'content-type': 'text/html' }, tag.repeat(30_000))
      const start = performance.now()
      expect(judge(checks, evidence({ main }))).toEqual(['content-type problem'])
      expect(performance.now() - start).toBeLessThan(1000)
    },
  )

  test('is that of a login page only with the status 200 and the type of a page', () => {
    const refused = response(401, { 'content-type': 'text/html' }, LOGIN_FORM)
    expect(judge(checks, evidence({ main: refused }))).toEqual(['status problem'])
    const text = response(200, { 'content-type': 'text/plain' }, LOGIN_FORM)
    expect(judge(checks, evidence({ main: text }))).toEqual(['content-type problem'])
  })

  test('of any other page is reported', () => {
    const main = response(200, { 'content-type': 'text/html' }, '<title>An application</title>')
    expect(judge(checks, evidence({ main }))).toEqual(['content-type problem'])
  })

  test('is reported once, without the charset, the length and the connection of the page', () => {
    const headers = {
      'content-type': 'text/html; charset=iso-8859-1',
      'content-length': '3',
      connection: 'close',
    }
    expect(judge(checks, evidence({ main: response(200, headers, '<p>') }))).toEqual(['content-type problem'])
  })

  test.each(['iso-8859-1', 'utf-16'])('is reported with the charset %s', (charset) => {
    const main = exchange({ headers: { 'content-type': `text/event-stream; charset=${charset}` } })
    expect(judge(checks, evidence({ main }))).toEqual(['charset problem'])
  })

  test.each(['text/event-stream', 'text/event-stream;charset=UTF-8', 'text/event-stream; charset=utf8'])(
    'may be %s',
    (type) => {
      expect(judge(checks, evidence({ main: exchange({ headers: { 'content-type': type } }) }))).toEqual([])
    },
  )
})

describe('the headers of a connection', () => {
  test('report a length of the stream', () => {
    const main = exchange({ headers: { 'content-length': '1000' } })
    expect(judge(checks, evidence({ main }))).toEqual(['content-length problem'])
  })

  test('report a connection whose end is the end of the stream', () => {
    const main = exchange({ headers: { connection: 'close', 'transfer-encoding': null } })
    expect(judge(checks, evidence({ main }))).toEqual(['connection-header warning'])
  })

  test('note a chunked stream after which the connection is closed', () => {
    const main = exchange({ headers: { connection: 'Close' } })
    expect(judge(checks, evidence({ main }))).toEqual(['connection-header note'])
  })

  test('may be those that the request has asked for', () => {
    const headers = { connection: 'close', 'transfer-encoding': null }
    const main = exchange({ headers, requestHeaders: { connection: 'close' } })
    expect(judge(checks, evidence({ main }))).toEqual([])
  })
})
