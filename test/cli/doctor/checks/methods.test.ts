import { describe, expect, test } from 'vitest'
import * as checks from '../../../../src/cli/doctor/checks/methods.ts'
import { evidence, exchange, response, unanswered } from '../../../support/doctor-evidence.ts'
import { judge, messageOf } from './judge.ts'

describe('Accept', () => {
  test.each([400, 406, 415, 500])('is reported if the stream gets %i for everything', (status) => {
    const found = evidence({ anyAccept: response(status) })
    expect(judge(checks, found)).toEqual(['accept-required warning'])
    expect(messageOf(checks.acceptRequired, found)).toBe(`The status is ${status} for an Accept of any type.`)
  })

  test('may choose another format', () => {
    const anyAccept = response(200, { 'content-type': 'text/html' }, '<p>')
    expect(judge(checks, evidence({ anyAccept, llmAccept: anyAccept }))).toEqual([])
  })

  test('of SDKs is noted if it is refused', () => {
    expect(judge(checks, evidence({ llmAccept: response(406) }))).toEqual(['llm-accept note'])
  })

  test('of SDKs is reported if it is refused on a route with POST, as they use it', () => {
    const main = exchange({ method: 'POST' })
    expect(judge(checks, evidence({ main, llmAccept: response(406) }))).toEqual(['llm-accept warning'])
  })
})

test.each([429, 503])('the status %i of a limit is no finding about the request', (status) => {
  const limited = response(status)
  expect(judge(checks, evidence({ anyAccept: limited, llmAccept: limited, head: limited }))).toEqual([])
})

describe('HEAD', () => {
  test('is reported if there is no response', () => {
    const found = evidence({ head: unanswered({ endedAt: 1_500.7 }) })
    expect(judge(checks, found)).toEqual(['head-hangs note'])
    expect(messageOf(checks.headHangs, found)).toBe('There was no response to HEAD within 1500 ms.')
  })

  test('is no finding if the examination ended too early', () => {
    expect(judge(checks, evidence({ head: unanswered({ endedAt: 900 }) }))).toEqual([])
    const main = exchange({ headersAt: 400 })
    expect(judge(checks, evidence({ main, head: unanswered({ endedAt: 1_900 }) }))).toEqual([])
  })

  test('is no finding if the request failed', () => {
    const head = unanswered({ end: 'cut', error: 'read ECONNRESET' })
    expect(judge(checks, evidence({ head }))).toEqual([])
  })

  test.each([
    [404, 'note'],
    [500, 'note'],
    [405, 'note'],
    [501, 'note'],
  ])('with the status %i is a %s', (status, level) => {
    expect(judge(checks, evidence({ head: response(status) }))).toEqual([`head-status ${level}`])
  })

  test('may have no body, nor the type of the stream', () => {
    expect(judge(checks, evidence({ head: response(200) }))).toEqual([])
    expect(judge(checks, evidence({ head: response(204) }))).toEqual([])
  })

  test('is not expected of a route with POST', () => {
    const main = exchange({ method: 'POST' })
    expect(judge(checks, evidence({ main, head: response(404) }))).toEqual([])
    expect(judge(checks, evidence({ main, head: unanswered() }))).toEqual([])
  })
})

test('responses that are no event streams are not judged', () => {
  const refused = response(500)
  const found = evidence({ main: refused, anyAccept: refused, llmAccept: refused, head: refused })
  expect(judge(checks, found)).toEqual([])
  expect(judge(checks, evidence({ main: refused, head: unanswered() }))).toEqual([])
})
