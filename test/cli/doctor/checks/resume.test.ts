import { describe, expect, test } from 'vitest'
import {
  codesOf,
  events,
  findingsOf,
  PREAMBLE,
  resumedAfter,
  steady,
} from '../../../support/doctor/recorded-streams.ts'
import { type Chunks, evidenceOf, type Recording, recorded } from '../../../support/recorded-exchange.ts'

const main = steady()
const REST = events(8, { from: 3, start: 400 })
const EXACT: Chunks = [[5, 'id: 1\ndata: 1\n\nid: 2\ndata: 2\n\n'], ...REST]
const PAGE = { status: 404, headers: { 'content-type': 'text/html' }, chunks: [] }

const codes = (resume: Recording, others = {}) =>
  codesOf(evidenceOf({ main, resume: resumedAfter('0', resume), ...others }))

describe('a reconnect that fails', () => {
  test('is a problem with the newest id too', () => {
    expect(codes({ chunks: EXACT }, { resumeLast: resumedAfter('2', { status: 400 }) })).toEqual([
      'problem resume-failed',
    ])
  })

  test.each([429, 503])('is no finding if a limit refuses it with %i', (status) => {
    expect(codes({ status })).toEqual([])
  })

  test('is no finding if a 204 stops a client that has received everything', () => {
    const ended = { ...main, end: 'ended' as const }
    const lastId = main.ids.at(-1)?.id ?? ''
    const stoppedAt = (id: string) => resumedAfter(id, { status: 204, chunks: [] })
    expect(codesOf(evidenceOf({ main: ended, resumeLast: stoppedAt(lastId) }))).toEqual([])
    const failed = ['problem resume-failed']
    expect(codesOf(evidenceOf({ main: ended, resumeLast: stoppedAt('1') }))).toEqual(failed)
    expect(codesOf(evidenceOf({ main, resumeLast: stoppedAt(lastId) }))).toEqual(failed)
  })

  test('names the id as the server has sent it', () => {
    const sent = Buffer.from('é1').toString('latin1')
    const [finding] = findingsOf(evidenceOf({ main, resume: resumedAfter(sent, { status: 500 }) }))
    expect(finding?.message).toBe('A reconnect with the id "é1" got the status 500.')
  })

  test('is no finding if there was no response yet, or no stream before', () => {
    const unanswered = { status: undefined, headersAt: undefined, chunks: [] }
    expect(codes(unanswered, { resumeLast: resumedAfter('2', { status: 500 }) })).toEqual([
      'problem resume-failed',
    ])
    expect(codes(unanswered)).toEqual([])
    const refused = recorded({ ...PAGE, end: 'ended', endedAt: 10 })
    expect(codesOf(evidenceOf({ main: refused, resume: resumedAfter('0', { status: 500 }) }))).toEqual([])
  })
})

describe('a reconnect', () => {
  test('is not judged after less than a second', () => {
    expect(codes({ endedAt: 900, chunks: [] })).toEqual([])
    expect(codes({ endedAt: 1_100, chunks: [] })).toEqual(['warning resume-ignored'])
  })

  test('has one finding if it repeats the id and nothing after it', () => {
    expect(codes({ chunks: [[5, 'id: 0\ndata: 0\n\n'], ...REST] })).toEqual(['warning resume-repeats'])
  })

  test('may skip events if it reports a gap', () => {
    const gap = 'event: gap\ndata: {}\n\nid: 2\ndata: 2\n\n'
    expect(codes({ chunks: [[5, gap], ...REST] })).toEqual([])
    expect(
      codes({ headers: { 'last-event-id': '1' }, chunks: [[5, 'id: 2\ndata: 2\n\n'], ...REST] }),
    ).toEqual([])
  })

  test('reports no gap with a header that has the id of the request', () => {
    expect(codes({ headers: { 'last-event-id': '0' }, chunks: REST })).toEqual(['warning resume-ignored'])
  })

  test('skips no event that may still arrive', () => {
    // Event 9 arrived on the first stream 900 ms before the end of the reconnect.
    const chunks = EXACT.slice(0, -2)
    expect(codes({ endedAt: 4_300, chunks })).toEqual([])
    expect(codes({ endedAt: 5_400, chunks })).toEqual(['problem resume-skips'])
  })

  test('has a different event if its id, its name or its data differs', () => {
    const first = (text: string) => codes({ chunks: [[5, `${text}\n\nid: 2\ndata: 2\n\n`], ...REST] })
    expect(first('id: 1\ndata: 1')).toEqual([])
    expect(first('id: 1\ndata: other')).toEqual(['problem resume-skips'])
    expect(first('id: a1\ndata: 1')).toEqual(['problem resume-skips'])
    const named = steady({ chunks: [...PREAMBLE, [7, 'event: a\nid: 0\ndata: 0\n\n'], ...events(10)] })
    const resume = resumedAfter('0', {
      chunks: [[5, 'event: a\nid: 1\ndata: 1\n\nid: 2\ndata: 2\n\n'], ...REST],
    })
    expect(codesOf(evidenceOf({ main: named, resume }))).toEqual(['problem resume-skips'])
  })

  test('is compared by ids that are not ASCII', () => {
    const text = (n: number) => `id: \u00e9${n}\ndata: ${n}\n\n`
    const stream = steady({ chunks: [...PREAMBLE, [7, text(0)], ...events(10, { text })] })
    const id = Buffer.from('\u00e90', 'utf8').toString('latin1')
    const resume = resumedAfter(id, { chunks: events(8, { from: 3, start: 400, text }) })
    expect(codesOf(evidenceOf({ main: stream, resume }))).toEqual(['warning resume-ignored'])
    const repeats = resumedAfter(id, {
      chunks: [[5, text(0) + text(1) + text(2)], ...events(8, { from: 3, start: 400, text })],
    })
    expect(codesOf(evidenceOf({ main: stream, resume: repeats }))).toEqual(['warning resume-repeats'])
  })

  test('is compared by the events with ids only', () => {
    const chunks: Chunks = [
      ...PREAMBLE,
      [7, 'id: 0\ndata: 0\n\n'],
      [8, 'data: ping\n\n'],
      [700, 'data: ping\n\n'],
      ...events(10),
    ]
    expect(
      codesOf(evidenceOf({ main: steady({ chunks }), resume: resumedAfter('0', { chunks: REST }) })),
    ).toEqual(['warning resume-ignored'])
  })

  test('with the newest id may repeat it, although nothing was missed', () => {
    const resumeLast = resumedAfter('10', { sentAt: 5_200, chunks: [[5, 'id: 10\ndata: 10\n\n']] })
    expect(codes({ chunks: EXACT }, { resumeLast })).toEqual(['warning resume-repeats'])
    expect(
      codes({ chunks: EXACT }, { resumeLast: resumedAfter('10', { sentAt: 5_200, chunks: [] }) }),
    ).toEqual([])
  })

  test('of a POST is not judged, nor one without an id', () => {
    expect(codes({ method: 'POST', chunks: REST })).toEqual([])
    expect(
      codesOf(evidenceOf({ main, resume: recorded({ sentAt: 1_200, endedAt: 4_800, chunks: REST }) })),
    ).toEqual([])
  })
})

describe('an unknown id', () => {
  const unknown = (rest: Recording, resume: Recording = { chunks: EXACT }) =>
    codes(resume, { unknownId: resumedAfter('unknown', rest) })

  test('is one finding with the ids that are ignored', () => {
    expect(unknown({ chunks: REST }, { chunks: REST })).toEqual(['warning resume-ignored'])
  })

  test('is not judged after less than a second', () => {
    expect(unknown({ endedAt: 900, chunks: REST })).toEqual([])
  })

  test('is ignored if only events arrive that were published since', () => {
    expect(unknown({ chunks: REST.map(([at, text]) => [at, text] as const) })).toEqual([
      'warning unknown-id-ignored',
    ])
  })
})

describe('the first id', () => {
  test.each([
    [900, []],
    [1_100, ['note no-first-position']],
  ])('%i ms after the headers is %j', (wait, expected) => {
    const stream = recorded({
      headersAt: 500,
      endedAt: 6_000,
      chunks: [[501, ':\n\n'], ...events(8, { start: 500 + wait })],
    })
    expect(codesOf(evidenceOf({ main: stream }))).toEqual(expected)
  })
})

describe('events without ids', () => {
  const text = (n: number) => `data: ${n}\n\n`

  test.each([
    [2, false],
    [3, true],
  ])('%i of them are noted: %s', (count, isNoted) => {
    const stream = recorded({ endedAt: 6_000, chunks: [...PREAMBLE, ...events(count, { text })] })
    expect(findingsOf(evidenceOf({ main: stream })).some(({ code }) => code === 'no-ids')).toBe(isNoted)
  })

  test('of a response that is no stream are not noted', () => {
    expect(codesOf(evidenceOf({ main: recorded({ status: 500, chunks: events(4, { text }) }) }))).toEqual([])
  })
})
