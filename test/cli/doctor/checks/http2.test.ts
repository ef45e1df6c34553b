import { describe, expect, test } from 'vitest'
import * as checks from '../../../../src/cli/doctor/checks/http2.ts'
import { evidence, exchange, response, unanswered } from '../../../support/doctor-evidence.ts'
import { judge, messageOf } from './judge.ts'

const SECURE = { url: 'https://localhost/events' }

describe('HTTP/2', () => {
  test('is healthy with an event stream', () => {
    expect(judge(checks, evidence({ http2: exchange({ protocol: 'HTTP/2' }) }, SECURE))).toEqual([])
  })

  test('is reported if the request fails', () => {
    const error = 'Stream closed with error code NGHTTP2_PROTOCOL_ERROR'
    const found = evidence({ http2: unanswered({ protocol: 'HTTP/2', end: 'cut', error }) }, SECURE)
    expect(judge(checks, found)).toEqual(['http2-failed problem'])
    expect(messageOf(checks.http2Failed, found)).toBe(
      `The request over HTTP/2 failed: ${error}, which a header such as Connection causes.`,
    )
  })

  test('is reported with another reason without this cause', () => {
    const http2 = unanswered({ protocol: 'HTTP/2', end: 'cut', error: 'read ECONNRESET' })
    expect(messageOf(checks.http2Failed, evidence({ http2 }, SECURE))).toBe(
      'The request over HTTP/2 failed: read ECONNRESET.',
    )
  })

  test('is reported if the status or the type is another one', () => {
    expect(judge(checks, evidence({ http2: response(500) }, SECURE))).toEqual(['http2-failed problem'])
    const page = response(200, { 'content-type': 'text/html' })
    expect(messageOf(checks.http2Failed, evidence({ http2: page }, SECURE))).toBe(
      'The type is text/html over HTTP/2, unlike over HTTP/1.1.',
    )
  })

  test.each([429, 503])('is no finding if a limit refuses it with the status %i', (status) => {
    expect(judge(checks, evidence({ http2: response(status) }, SECURE))).toEqual([])
  })

  test('is no finding if the response has not arrived yet', () => {
    expect(judge(checks, evidence({ http2: unanswered({ protocol: 'HTTP/2' }) }, SECURE))).toEqual([])
  })
})

describe('the connections of a browser', () => {
  test('are noted without HTTP/2, with the reason', () => {
    expect(judge(checks, evidence())).toEqual(['browser-connections note'])
    expect(messageOf(checks.browserConnections, evidence())).toContain('browsers use HTTP/2 only with TLS')
    expect(messageOf(checks.browserConnections, evidence({}, SECURE))).toContain('does not negotiate h2')
  })

  test('are no finding if the stream itself was examined over HTTP/2', () => {
    expect(judge(checks, evidence({ main: exchange({ protocol: 'HTTP/2' }) }, SECURE))).toEqual([])
  })
})

test('responses that are no event streams are not judged', () => {
  const main = response(500)
  expect(judge(checks, evidence({ main, http2: response(404) }))).toEqual([])
  expect(judge(checks, evidence({ main }))).toEqual([])
})
