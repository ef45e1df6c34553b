import { describe, expect, test } from 'vitest'
import { codesOf, findingsOf, steady } from '../../../support/doctor/recorded-streams.ts'
import { evidenceOf, recorded } from '../../../support/recorded-exchange.ts'

const unanswered = {
  status: undefined,
  headers: {},
  headersAt: undefined,
  firstByteAt: undefined,
  chunks: [],
  endedAt: 6_000,
}
const empty = { firstByteAt: undefined, chunks: [], endedAt: 6_000 }
const main = steady()

const KINDS = [
  ['http2', ' over HTTP/2', { protocol: 'HTTP/2' }],
  ['identity', ' without Accept-Encoding', {}],
  ['second', ' for a second reader', { sentAt: 2_200 }],
] as const

describe.each(KINDS)('the request %s, unlike the first one', (name, kind, rest) => {
  test('is a problem if no response headers arrive', () => {
    const found = evidenceOf({ main, [name]: recorded({ ...unanswered, ...rest }) })
    expect(codesOf(found)).toEqual(['problem no-response-headers'])
    expect(findingsOf(found)[0]?.message).toBe(`No response headers arrived${kind} within 6 000 ms.`)
  })

  test('is a warning if its headers are slow', () => {
    const found = evidenceOf({
      main,
      [name]: recorded({ ...rest, headersAt: 4_000, chunks: [[4_001, ':\n\n']] }),
    })
    expect(codesOf(found)).toContain('warning slow-headers')
    expect(findingsOf(found)[0]?.message).toBe(`The response headers${kind} took 4 000 ms.`)
  })

  test('is not slow by less than the time for which this process stood still', () => {
    const slow = recorded({ ...rest, headersAt: 4_000, chunks: [[4_001, ':\n\n']] })
    const found = (stall: number) => codesOf(evidenceOf({ main, [name]: slow }, { stall })).join()
    expect(found(400)).toContain('slow-headers')
    expect(found(600)).not.toContain('slow-headers')
    const late = recorded({ ...rest, chunks: [[4_010, ':\n\n']] })
    const begun = (stall: number) => codesOf(evidenceOf({ main: late }, { stall })).join()
    expect(begun(400)).toContain('slow-first-byte')
    expect(begun(600)).not.toContain('slow-first-byte')
  })

  test('is not judged after less than 3 s, or if it was cut', () => {
    const short = evidenceOf({ main, [name]: recorded({ ...unanswered, ...rest, endedAt: 2_900 }) })
    expect(codesOf(short)).toEqual([])
    const cut = recorded({ ...unanswered, ...rest, end: 'cut', error: 'aborted' })
    expect(codesOf(evidenceOf({ main, [name]: cut })).join()).not.toContain('headers')
  })

  test('is a problem although the first one was slowed by a busy server', () => {
    const busy = steady({ headersAt: 1_300, firstByteAt: 1_301 })
    const other = (endedAt: number) =>
      codesOf(evidenceOf({ main: busy, [name]: recorded({ ...unanswered, ...rest, endedAt }) }))
    expect(other(6_000)).toEqual(['problem no-response-headers'])
    expect(other(3_700)).toEqual([])
  })

  test('is no finding if the first one was as slow', () => {
    const slow = steady({ headersAt: 3_500, firstByteAt: 3_501, endedAt: 9_000 })
    const other = recorded({ ...unanswered, ...rest, endedAt: 6_000 })
    expect(codesOf(evidenceOf({ main: slow, [name]: other }))).toEqual(['warning slow-headers'])
  })
})

describe.each(KINDS.slice(0, 2))(
  'the body of the request %s, unlike that of the first one',
  (name, kind, rest) => {
    test('is a warning if it does not begin', () => {
      const found = evidenceOf({ main, [name]: recorded({ ...empty, ...rest }) })
      expect(codesOf(found)).toEqual(['warning no-body'])
      expect(findingsOf(found)[0]?.message).toBe(
        `No byte of the body arrived${kind} within 5 995 ms after the headers.`,
      )
    })

    test('is a warning if it begins late', () => {
      const late = recorded({
        ...rest,
        endedAt: 6_000,
        chunks: [
          [3_500, ':\n\n'],
          [3_600, 'data: a\n\n'],
        ],
      })
      const found = evidenceOf({ main, [name]: late })
      expect(codesOf(found)).toEqual(['warning slow-first-byte'])
      expect(findingsOf(found)[0]?.message).toBe(
        `The first byte of the body arrived${kind} 3 495 ms after the headers.`,
      )
    })
  },
)

test('a second reader may get nothing if nothing is published meanwhile', () => {
  expect(codesOf(evidenceOf({ main, second: recorded({ ...empty, sentAt: 2_200 }) }))).toEqual([])
})
