import { describe, expect, test } from 'vitest'
import * as checks from '../../../../src/cli/doctor/checks/formats.ts'
import { evidence, response } from '../../../support/doctor-evidence.ts'
import { judge, messageOf } from './judge.ts'

const LENGTH = { 'content-type': 'application/json; charset=utf-8', 'content-length': '9' }
const NDJSON = { 'content-type': 'application/x-ndjson' }
const EVENT = { event: 'message', id: '7', data: 1 }

const poll = (page: unknown, headers: Record<string, string> = LENGTH) =>
  evidence({ longPoll: response(200, headers, JSON.stringify(page)) })
const ndjson = (body: string, headers: Record<string, string> = NDJSON) =>
  evidence({ ndjson: response(200, headers, body) })

describe('a long poll', () => {
  test('is healthy with a length and a cursor', () => {
    expect(judge(checks, poll({ events: [EVENT], lastEventId: '7', retry: 0 }))).toEqual([])
    expect(judge(checks, poll({ events: [], lastEventId: null, retry: 0 }))).toEqual([])
  })

  test('is reported if only the end of the connection ends its response', () => {
    const found = poll({ events: [], lastEventId: null }, { 'content-type': 'application/json' })
    expect(judge(checks, found)).toEqual(['long-poll-length warning'])
  })

  test('needs no length over HTTP/2, and is not recognized with another type', () => {
    const page = { events: [], lastEventId: null }
    const headers = { 'content-type': 'application/json' }
    const longPoll = { ...response(200, headers, JSON.stringify(page)), protocol: 'HTTP/2' as const }
    expect(judge(checks, evidence({ longPoll }))).toEqual([])
    expect(judge(checks, poll(page, { 'content-type': 'text/plain' }))).toEqual([])
  })

  test('may be chunked', () => {
    const headers = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' }
    expect(judge(checks, poll({ events: [], lastEventId: null }, headers))).toEqual([])
  })

  test.each([
    { events: [EVENT] },
    { events: [EVENT], lastEventId: null },
    { events: [EVENT], lastEventId: 7 },
  ])('is reported without a cursor after events (%#)', (page) => {
    expect(judge(checks, poll(page))).toEqual(['long-poll-cursor problem'])
  })

  test('is reported with the number of its events', () => {
    expect(messageOf(checks.longPollCursor, poll({ events: [EVENT, EVENT] }))).toBe(
      'A poll returned 2 events, and no lastEventId.',
    )
  })

  test.each([{ choices: [] }, [EVENT], null, { events: 3 }])(
    'is not recognized in other JSON (%#)',
    (document) => {
      expect(judge(checks, poll(document, { 'content-type': 'application/json' }))).toEqual([])
    },
  )
})

describe('NDJSON', () => {
  test('is healthy with one value on each line, and with heartbeats', () => {
    expect(judge(checks, ndjson('\n{"id":"1"}\n\r\n{"event":"a","data":"\u2028"}\n{"ev'))).toEqual([])
  })

  test('is reported with the type of one document', () => {
    const found = ndjson('{"a":1}\n\n{"a":2}\n', { 'content-type': 'application/json' })
    expect(judge(checks, found)).toEqual(['ndjson-type warning'])
    expect(messageOf(checks.ndjsonType, found)).toBe('2 lines of JSON have the type "application/json".')
  })

  test.each(['{"a":1}\n', '{\n"a": 1\n}\n', '1\n2\n', '<p>\n</p>\n'])(
    'is not recognized in another document (%#)',
    (body) => {
      expect(judge(checks, ndjson(body, { 'content-type': 'application/json' }))).toEqual([])
    },
  )

  test.each(['application/ndjson', 'application/jsonl'])('may have the type %s', (type) => {
    expect(judge(checks, ndjson('{"a":1}\n{"a":2}\n', { 'content-type': type }))).toEqual([])
    expect(judge(checks, ndjson('no\n', { 'content-type': type }))).toEqual(['ndjson-lines problem'])
  })

  test('is reported if a line is not JSON', () => {
    const found = ndjson('{"a":1}\ndata: {"a":2}\n')
    expect(judge(checks, found)).toEqual(['ndjson-lines problem'])
    expect(messageOf(checks.ndjsonLines, found)).toContain('"data: {"a":2}"')
  })
})

test('refusals with the type of a page or of lines are not judged', () => {
  const lines = response(404, { 'content-type': 'application/json' }, '{"a":1}\n{"a":2}\n')
  const page = response(500, { 'content-type': 'application/json' }, '{"events":[{}]}')
  expect(judge(checks, evidence({ ndjson: lines, longPoll: page }))).toEqual([])
})

test('refusals and event streams are not judged', () => {
  const refused = response(406, NDJSON, 'no\nno\n')
  expect(judge(checks, evidence({ ndjson: refused, longPoll: refused }))).toEqual([])
  const stream = response(200, { 'content-type': 'text/event-stream' }, '{}\n{}\n')
  expect(judge(checks, evidence({ ndjson: stream, longPoll: stream }))).toEqual([])
})
