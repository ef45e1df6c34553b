import { describe, expect, test } from 'vitest'
import { codesOf, events, findingsOf, PREAMBLE, steady } from '../../../support/doctor/recorded-streams.ts'
import { type Chunks, evidenceOf, recorded } from '../../../support/recorded-exchange.ts'

const chunks = events(3, { start: 10, interval: 200 })
const ended = recorded({ end: 'ended', endedAt: 700, chunks })
const cut = { end: 'cut', error: 'aborted', endedAt: 700 } as const

describe('a stream that is cut', () => {
  test('is a problem over HTTP/2 only', () => {
    const http2 = recorded({ ...cut, protocol: 'HTTP/2', chunks })
    const [finding] = findingsOf(evidenceOf({ main: steady(), http2 }))
    expect(finding?.message).toBe('The stream over HTTP/2 was cut after 700 ms (aborted).')
  })

  test('is a problem without a response on the first request, and not on that over HTTP/2', () => {
    const unanswered = recorded({ ...cut, status: undefined, headersAt: undefined, headers: {} })
    expect(findingsOf(evidenceOf({ main: unanswered }))[0]?.message).toBe(
      'The connection was closed after 700 ms, before a response (aborted).',
    )
    expect(codesOf(evidenceOf({ main: steady(), http2: { ...unanswered, protocol: 'HTTP/2' } }))).toEqual([])
  })
})

describe('a stream that ends', () => {
  test('is noted if an event with the name of an end was the last', () => {
    const marked: Chunks = [...chunks, [620, 'event: message_stop\ndata: {"a":1}\n\n']]
    const main = recorded({ end: 'ended', endedAt: 700, chunks: marked })
    expect(codesOf(evidenceOf({ main, reconnect: main }))).toEqual(['note ends'])
  })

  test('is no finding if it was no stream, or is still open', () => {
    const page = recorded({
      status: 200,
      headers: { 'content-type': 'text/html' },
      end: 'ended',
      endedAt: 20,
    })
    expect(codesOf(evidenceOf({ main: page, reconnect: ended }))).toEqual([])
    expect(codesOf(evidenceOf({ main: steady(), reconnect: ended }))).toEqual([])
  })
})

describe('too few events', () => {
  const messageOf = (main: ReturnType<typeof recorded>) =>
    findingsOf(evidenceOf({ main })).find(({ code }) => code === 'too-few-events')?.message

  test('are noted for the resume if there is one id only', () => {
    const beats: Chunks = [5_000, 9_000, 14_000].map((at) => [at, ':\n\n'])
    const main = recorded({ chunks: [...PREAMBLE, [8, 'id: 1\n\n'], ...beats] })
    expect(messageOf(main)).toBe('0 events arrived after the beginning, so that resume could not be judged.')
    const two = recorded({ chunks: [...PREAMBLE, [8, 'id: 1\n\n'], [900, 'id: 2\n\n'], ...beats] })
    expect(messageOf(two)).toBeUndefined()
  })

  test('are not noted of a short examination, an ended stream, or a refused one', () => {
    expect(messageOf(recorded({ chunks: PREAMBLE, endedAt: 2_900 }))).toBeUndefined()
    expect(messageOf(recorded({ chunks: PREAMBLE, endedAt: 4_000, end: 'ended' }))).toBeUndefined()
    const main = recorded({ status: 500, headers: { 'content-type': 'text/html' } })
    expect(codesOf(evidenceOf({ main, identity: recorded({ chunks: PREAMBLE }) }))).toEqual([])
  })
})

describe('heartbeats', () => {
  const codes = (beats: readonly number[], endedAt: number, rest = {}) =>
    codesOf(
      evidenceOf({
        main: recorded({
          ...rest,
          endedAt,
          chunks: [...PREAMBLE, ...beats.map((at) => [at, ':\n\n'] as const)],
        }),
      }),
    ).filter((code) => code.includes('heartbeat'))

  test.each([
    ['15.5 s without one are no finding', [], 15_500, []],
    ['17 s without one are noted', [], 17_000, ['note no-heartbeat']],
    ['24 s without one are noted', [], 24_000, ['note no-heartbeat']],
    ['a silence that was as long before, and ended, is no finding', [18_000], 35_500, []],
    ['one finding is enough', [], 40_000, ['warning slow-heartbeat']],
    ['of 59 s are a warning', [59_000], 70_000, ['warning slow-heartbeat']],
    ['of 61 s are a problem', [61_000], 70_000, ['problem slow-heartbeat']],
  ])('%s', (_name, beats, endedAt, expected) => {
    expect(codes(beats, endedAt)).toEqual(expected)
  })

  test('of a response that is no stream, or without a byte, are not judged', () => {
    expect(codes([], 70_000, { status: 500 })).toEqual([])
    expect(codesOf(evidenceOf({ main: recorded({ endedAt: 20_000 }) })).join()).not.toContain('heartbeat')
  })
})
