import { describe, expect, test } from 'vitest'
import { finding } from '../../../src/cli/doctor/catalog.ts'
import { comparisonOf } from '../../../src/cli/doctor/compare.ts'
import { differencesOf } from '../../../src/cli/doctor/differences.ts'
import { reportWith } from '../../support/doctor-reports.ts'

describe('the differences of two reports', () => {
  test('are none between two healthy streams, whose times, dates and ids differ a little', () => {
    const proxied = reportWith({ headers: { date: 'a', 'x-request-id': '1', age: '0' }, events: 4 })
    const direct = reportWith({ headers: { date: 'b', 'x-request-id': '2', age: '1' }, timeToHeaders: 200 })
    expect(differencesOf(proxied, direct)).toEqual([])
  })

  test('are each finding on one side, the status, the protocols, the times, the counts and the headers', () => {
    const findings = [finding('status', 'The status is 502.')]
    const proxied = reportWith({
      findings,
      status: 502,
      protocols: ['HTTP/1.1'],
      timeToHeaders: undefined,
      timeToFirstByte: 5000,
      events: 0,
      headers: { server: 'nginx', 'cache-control': 'no-cache' },
    })
    const headers = { 'x-accel-buffering': 'no', 'cache-control': 'no-cache, no-transform' }
    const direct = reportWith({ headers, events: 3 })
    expect(differencesOf(proxied, direct)).toEqual([
      { kind: 'finding', name: 'status', proxied: 'The status is 502.', direct: undefined },
      { kind: 'status', name: 'status', proxied: '502', direct: '200' },
      { kind: 'protocol', name: 'protocols', proxied: 'HTTP/1.1', direct: 'HTTP/1.1, HTTP/2' },
      { kind: 'time', name: 'timeToHeaders', proxied: undefined, direct: '12 ms' },
      { kind: 'time', name: 'timeToFirstByte', proxied: '5.0 s', direct: '1.2 s' },
      { kind: 'count', name: 'events', proxied: '0', direct: '3' },
      { kind: 'header', name: 'cache-control', proxied: 'no-cache', direct: 'no-cache, no-transform' },
      { kind: 'header', name: 'server', proxied: 'nginx', direct: undefined },
      { kind: 'header', name: 'x-accel-buffering', proxied: undefined, direct: 'no' },
    ])
  })

  test('have no finding that is on both sides', () => {
    const proxied = reportWith({ findings: [finding('status', 'The status is 502.')] })
    const direct = reportWith({ findings: [finding('status', 'The status is 404.')] })
    expect(differencesOf(proxied, direct)).toEqual([])
  })

  test('have no header if one endpoint has not responded', () => {
    const differences = differencesOf(reportWith({ status: undefined, headers: {} }), reportWith())
    expect(differences.map(({ kind }) => kind)).toEqual(['status'])
  })

  test('have no value of a cookie', () => {
    const proxied = reportWith({ headers: { 'set-cookie': 'session=secret' } })
    expect(differencesOf(proxied, reportWith({ headers: {} }))).toEqual([
      { kind: 'header', name: 'set-cookie', proxied: '(hidden)', direct: undefined },
    ])
  })
})

test('a comparison names the proxies that only the proxied response names', () => {
  const proxied = reportWith({ proxies: ['Cloudflare', 'nginx', 'strange'] })
  const { proxies, configurations } = comparisonOf(proxied, reportWith({ proxies: ['nginx'] }))
  expect(proxies).toEqual(['Cloudflare', 'strange'])
  expect(configurations.map(({ proxy }) => proxy)).toEqual(['Cloudflare'])
})
