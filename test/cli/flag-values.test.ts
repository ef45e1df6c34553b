import { describe, expect, test } from 'vitest'
import {
  checkHeaderValue,
  readChoice,
  readDuration,
  readHeaders,
  readInteger,
  readPercentage,
  readRate,
} from '../../src/cli/flag-values.ts'
import { UsageError } from '../../src/cli/usage-error.ts'

describe('readDuration', () => {
  test.each([
    ['18s', 18_000],
    ['18000ms', 18_000],
    ['1.5s', 1500],
    ['2m', 120_000],
    ['1h', 3_600_000],
  ])('reads %s as %d ms', (text, duration) => {
    expect(readDuration('--timeout', text)).toBe(duration)
  })

  test.each([
    ['18', '--timeout "18" has no unit. Write 18s or 18ms.'],
    ['soon', '--timeout "soon" is not a time such as 18s or 500ms.'],
    ['-1s', '--timeout "-1s" is not a time such as 18s or 500ms.'],
    ['3d', '--timeout "3d" has an unknown unit. The units are ms, s, m and h.'],
    ['3constructor', '--timeout "3constructor" has an unknown unit. The units are ms, s, m and h.'],
    ['0s', '--timeout "0s" is too short.'],
    ['600h', '--timeout "600h" is too long. The longest time is 596h.'],
  ])('rejects %s', (text, message) => {
    expect(() => readDuration('--timeout', text)).toThrow(new UsageError(message))
  })
})

describe('readInteger', () => {
  test('reads digits, with underscores between them', () => {
    expect([readInteger('--streams', '10_000'), readInteger('--streams', '0')]).toEqual([10_000, 0])
  })

  test.each([
    ['1.5', '--streams "1.5" is not a whole number.'],
    ['', '--streams "" is not a whole number.'],
    ['_', '--streams "_" is not a whole number.'],
    ['0', '--streams "0" is too small. The least value is 1.'],
    ['11', '--streams "11" is too large. The largest value is 10.'],
  ])('rejects %j', (text, message) => {
    expect(() => readInteger('--streams', text, { min: 1, max: 10 })).toThrow(new UsageError(message))
  })
})

test('readRate reads a number per second or per minute', () => {
  expect([readRate('--churn', '10/s'), readRate('--churn', '90/m')]).toEqual([10, 1.5])
  const error = new UsageError('--churn "10" is not a rate such as 10/s or 600/m.')
  expect(() => readRate('--churn', '10')).toThrow(error)
})

test('readPercentage reads a share', () => {
  expect([readPercentage('--slow', '5%'), readPercentage('--slow', '100%')]).toEqual([0.05, 1])
  for (const text of ['5', '101%', '%'])
    expect(() => readPercentage('--slow', text)).toThrow(/is not a percentage such as 5%/)
})

test('readChoice suggests the nearest word, or lists all', () => {
  const choices = ['problem', 'warning', 'never'] as const
  expect(readChoice('--fail-on', 'never', choices)).toBe('never')
  expect(() => readChoice('--fail-on', 'warnings', choices)).toThrow(
    new UsageError('--fail-on "warnings" is not a value of this flag. Did you mean warning?'),
  )
  expect(() => readChoice('--fail-on', 'x', choices)).toThrow(
    new UsageError('--fail-on "x" is not a value of this flag. The values are problem, warning, never.'),
  )
})

describe('readHeaders', () => {
  test('joins the values of one name, of cookies by a semicolon', () => {
    const texts = ['Authorization: Bearer a:b', 'X-A:1', 'x-a: 2', 'Cookie: a=1', 'cookie: b=2', 'X-Empty:']
    expect(readHeaders('--header', texts)).toEqual({
      authorization: 'Bearer a:b',
      'x-a': '1, 2',
      cookie: 'a=1; b=2',
      'x-empty': '',
    })
  })

  test.each([
    ['Authorization', `--header "Authorization" is not a header such as 'Name: value'.`],
    [': value', `--header ": value" is not a header such as 'Name: value'.`],
    ['a b: 1', '--header "a b" is not the name of a header.'],
    ['X-A: a\nb', '--header has a character that a header cannot have.'],
  ])('rejects %j', (text, message) => {
    expect(() => readHeaders('--header', [text])).toThrow(new UsageError(message))
  })

  test('does not quote a value, which may be secret', () => {
    expect(() => checkHeaderValue('--cookie', 'cookie', 'sec\0ret')).toThrow(/^(?!.*ret)/)
  })
})
