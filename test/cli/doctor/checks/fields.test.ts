import { describe, expect, test } from 'vitest'
import * as checks from '../../../../src/cli/doctor/checks/fields.ts'
import { evidence, exchange, type Stated } from '../../../support/doctor-evidence.ts'
import { judge, messageOf } from './judge.ts'

type Chunk = string | number | Uint8Array

const judgeBody = (body: Chunk[], more: Pick<Stated, 'end'> = {}) =>
  judge(checks, evidence({ main: exchange({ ...more, body }) }))

test('unknown fields are reported, but not the rest of a line after a CR in the data', () => {
  const main = exchange({ body: ['id: 1\ndata: a\rb\n\n', 'foo: 2\ndata: 2\n\n'] })
  expect(judge(checks, evidence({ main }))).toEqual(['carriage-return warning', 'unknown-field warning'])
  expect(messageOf(checks.unknownField, evidence({ main }))).toMatch(/^1 line /)
})

test('unknown fields are reported beside lines that all end with CR', () => {
  const main = exchange({ body: ['id: 1\rDATA: 1\rdata: 1\r\r', 'id: 2\rDATA: 2\rdata: 2\r\r', ':\r'] })
  expect(judge(checks, evidence({ main }))).toEqual(['carriage-return warning', 'unknown-field warning'])
})

describe('a healthy body', () => {
  test.each([
    ['with all fields', [':\nretry: 2840\n', 'event: a\nid: 1\ndata: {"a":1}\ndata: b\n\n', ':\n']],
    ['with CRLF', ['id: 1\r\ndata: a\r\n\r\n', 'data: b\r\n\r\n']],
    ['with CRLF that is split between two chunks', ['data: a\r', '\n\r\n', 'data: b\r']],
    ['without spaces after the colons', ['id:1\ndata:a\nretry:0\n\n']],
    ['with fields without a colon', ['data\n\n', 'id\n\n']],
    ['with a character that is split between two chunks', ['data: ', bytes(0xc3), bytes(0xa4), '\n\n']],
    ['with data that looks like a field', ['data: foo: bar\ndata: \uFEFF\n\n', 'data: \uFFFD\n\n']],
  ])('%s has no finding', (_, body) => {
    expect(judgeBody(body)).toEqual([])
    expect(judgeBody([...body, '\ndata: x\n\n'], { end: 'ended' })).toEqual([])
  })
})

describe('fields', () => {
  test('are reported if an id contains NUL', () => {
    expect(judgeBody(['id: a\0b\ndata: a\n\n'])).toEqual(['nul-in-id problem'])
    expect(judgeBody(['id: a\ndata: a\0b\n\n'])).toEqual([])
  })

  test.each(['1e3', '-1', '1.5', '2s', '', '٣'])('are reported if retry is %s', (retry) => {
    expect(judgeBody([`retry: ${retry}\ndata: a\n\n`])).toEqual(['bad-retry warning'])
  })

  test.each(['Data: b', ' data: b', 'data : b', 'timestamp: 1', '{"a":1}'])(
    'are reported if a client ignores the line %s',
    (line) => {
      expect(judgeBody([`data: a\n\n${line}\n\n`])).toEqual(['unknown-field warning'])
    },
  )

  test('are a problem if a client ignores all lines', () => {
    expect(judgeBody(['{"a":1}\n\n', '{"a":2}\n\n'])).toEqual(['unknown-field problem'])
    const main = exchange({ body: ['{"a":1}\n\n', '{"a":2}\n\n'] })
    expect(messageOf(checks.unknownField, evidence({ main }))).toBe(
      '2 lines had no known field, for example "{"a":1}".',
    )
  })

  test('are not judged before their line has ended', () => {
    expect(judgeBody(['data: a\n\nretry: x'])).toEqual([])
    expect(judgeBody(['data: a\n\nret'])).toEqual([])
  })
})

describe('a BOM', () => {
  test('is reported at the beginning', () => {
    expect(judgeBody(['\uFEFFdata: a\n\n'])).toEqual(['bom warning'])
  })

  test('is a problem before a later field, which clients then ignore', () => {
    expect(judgeBody(['\uFEFFdata: a\n\n', '\uFEFFdata: b\n\n'])).toEqual(['bom problem'])
  })
})

describe('CR', () => {
  test('is reported if it ends a line alone', () => {
    expect(judgeBody(['data: a\rdata: b\n\n'])).toEqual(['carriage-return warning'])
    const main = exchange({ body: ['data: a\r\r', 'data: b\r\r'] })
    expect(messageOf(checks.carriageReturn, evidence({ main }))).toBe('3 lines ended with CR alone.')
  })

  test('is the only finding if it ends a line in the middle of the data', () => {
    expect(judgeBody(['data: a\rb\n\n'])).toEqual(['carriage-return warning'])
  })

  test('is reported within CRLF if there are two', () => {
    expect(judgeBody(['data: a\r\r\n\r\n'])).toEqual(['carriage-return warning'])
  })
})

describe('an unfinished block', () => {
  test.each([
    ['data: a\n\ndata: b\n'],
    ['data: a\n\ndata: b'],
    ['data: a\n\nid: 4\n'],
    ['data: a\r\ndata: b\r\n'],
  ])('is reported if the body ends with it (%#)', (body) => {
    expect(judgeBody([body], { end: 'ended' })).toEqual(['unfinished-block problem'])
  })

  test.each([['data: a\n\n:\n'], ['data: a\n\nretry: 100\n'], ['data: a\n\n\n'], ['']])(
    'is no finding without data or an id (%#)',
    (body) => {
      expect(judgeBody([body], { end: 'ended' })).toEqual([])
    },
  )

  test('is reported if lines of data arrive for a while without a blank line', () => {
    const main = exchange({ body: [':\n', 200, 'data: 1\n', 400, 'data: 2\n', 800, 'data: 3\n'] })
    expect(judge(checks, evidence({ main }))).toEqual(['unfinished-block problem'])
    expect(messageOf(checks.unfinishedBlock, evidence({ main }))).toBe(
      '3 lines arrived within 600 ms, and no blank line.',
    )
  })

  test('is no finding while an event may still be arriving', () => {
    expect(judgeBody(['data: the data', 900, ' of slow data\n'])).toEqual([])
    expect(judgeBody(['data: 1\n', 200, 'data: 2\n'])).toEqual([])
    expect(judgeBody(['data: 1\n\n', 200, 'data: 2\n', 900, 'data: 3\n'])).toEqual([])
  })

  test('is no finding if the connection was cut, which has its own finding', () => {
    expect(judgeBody(['data: a\n\ndata: b'], { end: 'cut' })).toEqual([])
  })
})

describe('UTF-8', () => {
  test('is reported if a byte does not belong to a character', () => {
    const main = exchange({ body: ['data: caf', bytes(0xe9), '!\n\n'] })
    expect(judge(checks, evidence({ main }))).toEqual(['invalid-utf-8 problem'])
    expect(messageOf(checks.invalidUtf8, evidence({ main }))).toContain('caf\uFFFD!')
  })

  test('may be incomplete at the end of what has arrived, but not at the end of a body', () => {
    expect(judgeBody(['data: a\n\n: ', bytes(0xe2, 0x82)])).toEqual([])
    expect(judgeBody(['data: a\n\n: ', bytes(0xe2, 0x82)], { end: 'ended' })).toEqual([
      'invalid-utf-8 problem',
    ])
  })
})

test('the body of a response that is no event stream is not judged', () => {
  const headers = { 'content-type': 'text/html' }
  const body = ['\uFEFF<p>\r{"a":1}\nid: \0\nretry: x\ndata: ', bytes(0xff)]
  expect(judge(checks, evidence({ main: exchange({ headers, body, end: 'ended' }) }))).toEqual([])
})

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values)
}
