import { describe, expect, test } from 'vitest'
import { codesOf, events, findingsOf, PREAMBLE, steady } from '../../../support/doctor/recorded-streams.ts'
import { evidenceOf, recorded } from '../../../support/recorded-exchange.ts'

const gzip = { 'content-encoding': 'gzip' }

/** A clock that each connection starts for itself: every second, the time at that moment without its milliseconds. */
function clock(sentAt: number, headersAt: number, headers = {}) {
  const beginning = sentAt + headersAt
  const text = (n: number) => `event: ping\ndata: ${Math.floor((beginning + n * 1_000) / 1_000)}\n\n`
  const chunks = [...PREAMBLE, ...events(12, { start: headersAt + 1_000, interval: 1_000, text })]
  return recorded({ sentAt, headersAt, chunks, endedAt: 13_500, headers })
}

describe('a stream of the time, for which each connection has its own timer', () => {
  test('is not late on the connection that was opened later', () => {
    const [main, identity, second] = [clock(0, 400), clock(400, 400), clock(2_500, 400)]
    expect(codesOf(evidenceOf({ main, identity, second }))).toEqual(['note no-ids'])
  })

  test('is not late if the doctor was busy when an event arrived', () => {
    const { events: all, ...rest } = clock(2_500, 400)
    const second = {
      ...rest,
      events: all.map((event, i) => (i === 0 ? { ...event, at: event.at + 300 } : event)),
    }
    expect(codesOf(evidenceOf({ main: clock(0, 400), identity: clock(400, 400), second }))).toEqual([
      'note no-ids',
    ])
  })

  test('is not held by compression', () => {
    const [main, identity, second] = [clock(0, 900, gzip), clock(400, 900), clock(2_500, 900)]
    expect(codesOf(evidenceOf({ main, identity, second }))).toEqual(['note compressed', 'note no-ids'])
  })
})

/** The same events as `steady()`, as a client gets them that connects later. */
const joined = recorded({ sentAt: 2_200, endedAt: 3_800, chunks: events(6, { from: 5, start: 400 }) })

/** A stream of the same events, which are all late. */
const lateBy = (lag: number, rest = {}) =>
  steady({ chunks: [...PREAMBLE, [7, 'id: 0\ndata: 0\n\n'], ...events(10, { start: 600 + lag })], ...rest })

describe('events that are late on one connection', () => {
  const levels = (lag: number) =>
    codesOf(evidenceOf({ main: lateBy(lag), identity: steady(), second: joined })).filter((each) =>
      each.includes('delayed'),
    )

  test.each([
    [100, []],
    [140, ['warning delayed']],
    [900, ['warning delayed']],
    [1_100, ['problem delayed']],
  ])('by %i ms are %j', (lag, expected) => {
    expect(levels(lag)).toEqual(expected)
  })

  test('are reported if they have ids and arrive at an interval that is the delay', () => {
    const stream = (lag: number) =>
      recorded({ endedAt: 6_000, chunks: [...PREAMBLE, ...events(24, { start: 200 + lag, interval: 200 })] })
    const second = recorded({
      sentAt: 2_100,
      endedAt: 3_900,
      chunks: events(14, { from: 11, start: 100, interval: 200 }),
    })
    const codes = codesOf(evidenceOf({ main: stream(200), identity: stream(0), second }))
    expect(codes).toEqual(['warning delayed'])
  })

  test('are reported for the connection with the longest delay', () => {
    const [main, identity, http2] = [lateBy(150), steady(), lateBy(300, { protocol: 'HTTP/2' })]
    const [finding] = findingsOf(evidenceOf({ main, identity, http2, second: joined }))
    expect(finding?.message).toBe('Events over HTTP/2 arrived 300 ms later than over HTTP/1.1.')
  })

  test('are no finding if only some of them are late', () => {
    const chunks = events(10).map(([at, text], i) => [i === 6 ? at : at + 300, text] as const)
    const main = steady({ chunks: [...PREAMBLE, [7, 'id: 0\ndata: 0\n\n'], ...chunks] })
    expect(codesOf(evidenceOf({ main, identity: steady(), second: joined }))).toEqual([])
  })

  test('are no finding if there are fewer than four', () => {
    const few = (lag: number) =>
      recorded({
        endedAt: 6_000,
        chunks: [...PREAMBLE, [7, 'id: 0\ndata: 0\n\n'], ...events(3, { start: 600 + lag })],
      })
    const second = recorded({ sentAt: 700, endedAt: 3_000, chunks: events(2, { from: 2, start: 400 }) })
    expect(codesOf(evidenceOf({ main: few(300), identity: few(0), second }))).toEqual([])
  })

  test('are no finding if the same data is repeated', () => {
    const text = (n: number) => `data: ${n % 2}\n\n`
    const stream = (lag: number) =>
      recorded({ endedAt: 6_000, chunks: [...PREAMBLE, ...events(10, { start: 600 + lag, text })] })
    const second = recorded({ sentAt: 2_200, endedAt: 3_800, chunks: events(6, { text }) })
    expect(codesOf(evidenceOf({ main: stream(300), identity: stream(0), second })).join()).not.toContain(
      'delayed',
    )
  })

  test('are reported without ids too, by their names and data', () => {
    const text = (n: number) => `event: ${n % 2 ? 'a' : 'b'}\ndata: ${Math.floor(n / 2)}\n\n`
    const stream = (lag: number) =>
      recorded({ endedAt: 8_000, chunks: [...PREAMBLE, ...events(14, { start: 600 + lag, text })] })
    const second = recorded({
      sentAt: 2_200,
      endedAt: 3_800,
      chunks: events(6, { from: 5, start: 400, text }),
    })
    const codes = codesOf(evidenceOf({ main: stream(300), identity: stream(0), second }))
    expect(codes).toEqual(['warning delayed', 'note no-ids'])
  })

  test('are no finding if no stream shows that all of them get the same events', () => {
    expect(codesOf(evidenceOf({ main: lateBy(300), identity: steady() }))).toEqual([])
    const atOnce = { ...joined, sentAt: 200 }
    expect(codesOf(evidenceOf({ main: lateBy(300), identity: steady(), second: atOnce }))).toEqual([])
    const failed = recorded({ sentAt: 2_200, status: 500, chunks: [] })
    expect(codesOf(evidenceOf({ main: lateBy(300), identity: steady(), second: failed }))).toEqual([])
  })

  test('are no finding if one connection receives a history later', () => {
    const history = (start: number) => events(8, { start, interval: 1 })
    const stream = (start: number) =>
      recorded({
        endedAt: 6_000,
        headersAt: start - 1,
        chunks: [...history(start), ...events(4, { from: 9, start: 2_000 })],
      })
    const second = recorded({ sentAt: 2_300, endedAt: 3_700, chunks: events(3, { from: 10, start: 200 }) })
    expect(codesOf(evidenceOf({ main: stream(700), identity: stream(10), second })).join()).not.toContain(
      'delayed',
    )
  })
})
