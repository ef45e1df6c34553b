import { describe, expect, test } from 'vitest'
import { codesOf, events, findingsOf, PREAMBLE } from '../../../support/doctor/recorded-streams.ts'
import { type Chunks, evidenceOf, recorded } from '../../../support/recorded-exchange.ts'

const T = 1_764_277_200_000

/** Chunks of events at an interval of 20 ms, in groups with pauses between them. */
function fast(groups: number, size: number, text: (n: number, at: number) => string): Chunks {
  return Array.from({ length: groups * size }, (_, i) => {
    const at = 1_000 + Math.floor(i / size) * (size * 20 + 1_500) + (i % size) * 20
    return [at, text(i, at)] as const
  })
}

describe('many events a second', () => {
  test('are no finding if their times are as far apart as their arrivals', () => {
    const chunks = [...PREAMBLE, ...fast(3, 50, (n, at) => `id: ${n}\ndata: {"at":${T + at}}\n\n`)]
    expect(codesOf(evidenceOf({ main: recorded({ chunks, endedAt: 9_000 }) })).join()).not.toContain(
      'buffered',
    )
  })

  test('are no finding if they begin late, as the text of a language model does', () => {
    const chunks = fast(1, 150, (_n, at) => `data: {"at":${T + at}}\n\n`).map(
      ([at, text]) => [at + 2_000, text] as const,
    )
    const main = recorded({ method: 'POST', chunks, endedAt: 6_000, end: 'ended' })
    expect(codesOf(evidenceOf({ main }))).toEqual([])
  })

  test('are no bursts if each group arrives one by one, as the steps of an agent do', () => {
    const chunks = [...PREAMBLE, ...fast(4, 20, (n) => `data: ${n}\n\n`)]
    const main = recorded({ chunks, endedAt: 12_000 })
    expect(codesOf(evidenceOf({ main }))).toEqual(['note no-ids'])
  })

  test('are no finding if a short response takes long to begin, and then arrives one by one', () => {
    const chunks = events(8, { start: 2_300, interval: 20, text: (n) => `data: ${n}\n\n` })
    const main = recorded({ method: 'POST', headersAt: 2_299, chunks, endedAt: 2_460, end: 'ended' })
    expect(codesOf(evidenceOf({ main }))).toEqual([])
  })
})

describe('a history', () => {
  const history = (first: number) =>
    Array.from({ length: 24 }, (_, n) => `data: {"at":${first + n * 60}}\n\n`).join('')
  const live = events(8, { start: 2_000, text: (n) => `data: {"at":${T + 1_500 + n * 500}}\n\n` })
  const codes = (first: number) => {
    const main = recorded({
      sentAt: T,
      headersAt: 1_500,
      endedAt: 6_500,
      chunks: [[1_501, history(first)], ...live],
    })
    return codesOf(evidenceOf({ main }))
  }

  test('is no finding if a slow server sends events from before the request', () => {
    expect(codes(T - 1_400)).toEqual(['note no-ids'])
  })

  test('is a problem if its events were published after the request', () => {
    expect(codes(T + 120)).toContain('problem buffered')
  })
})

test('events that are held until the end are reported whatever their number', () => {
  const chunks: Chunks = [[4_000, Array.from({ length: 500 }, (_, n) => `data: ${n}\n\n`).join('')]]
  const main = recorded({ method: 'POST', headersAt: 4_000, endedAt: 4_002, end: 'ended', chunks })
  expect(findingsOf(evidenceOf({ main }))[0]?.message).toMatch(/^All 500 events arrived together/)
})

test('events that are held together with the first position of a hub are a problem', () => {
  const published = Array.from({ length: 53 }, (_, n) => `id: e-${n}\ndata: {"at":${T + n * 300}}\n\n`).join(
    '',
  )
  const chunks: Chunks = [[16_000, `id: e-0\nevent: position\ndata: {}\n\n${published}`]]
  const main = recorded({ sentAt: T - 1_000, headersAt: 10, chunks, endedAt: 18_000 })
  expect(codesOf(evidenceOf({ main }))).toContain('problem buffered')
})

/** Bursts of events with times, 2 s apart. Within a burst, the times are `apart` ms from each other. */
const timed = (count: number, size: number, apart: number): Chunks => [
  ...PREAMBLE,
  ...Array.from({ length: count }, (_, i) => {
    const at = 1_000 + i * 2_000
    const times = Array.from({ length: size }, (_, j) => T + at - (size - 1 - j) * apart)
    return [at, times.map((time) => `event: e${time % 2}\ndata: ${time}\n\n`).join('')] as const
  }),
]

const isProblem = (chunks: Chunks, evidence = {}) =>
  codesOf(evidenceOf({ main: recorded({ endedAt: 9_000, chunks }) }, evidence)).includes('problem buffered')

describe('the times in bursts', () => {
  test.each([
    ['two bursts of 600 ms', timed(2, 3, 300), true],
    ['one burst', timed(1, 3, 700), false],
    ['two bursts of 400 ms, which are too few', timed(2, 3, 200), false],
    ['three bursts of 400 ms', timed(3, 3, 200), true],
    ['four bursts of 160 ms, which a server may publish', timed(4, 3, 80), false],
  ])('are judged in %s', (_name, chunks, expected) => {
    expect(isProblem(chunks)).toBe(expected)
  })

  test.each([
    ['as a part of a longer number', (time: number) => `data: ${time}000\n\n`],
    ['after other digits', (time: number) => `data: 9${time}\n\n`],
    ['from before 2017', (time: number) => `data: ${time - 500_000_000_000}\n\n`],
    ['in seconds', (time: number) => `data: ${new Date(time).toISOString().slice(0, 19)}Z\n\n`],
    ['in some of the events only', (time: number) => (time % 3 ? `data: ${time}\n\n` : 'data: none\n\n')],
    [
      'in an id of an earlier event',
      (time: number) => (time % 2_000 < 800 ? `id: ${time}\ndata: a\n\n` : 'data: b\n\n'),
    ],
  ])('are not read %s', (_name, block) => {
    const chunks = [1_000, 3_000, 5_000].map(
      (at) => [at, [600, 300, 0].map((before) => block(T + at - before)).join('')] as const,
    )
    expect(isProblem([...PREAMBLE, ...chunks])).toBe(false)
  })

  test('are not read if the events are older than the examination is long', () => {
    const block = (time: number) => `data: ${time}\n\n`
    const chunks = [1_000, 3_000, 5_000].map(
      (at) => [at, [600, 300, 0].map((before) => block(T + (at - before) * 10)).join('')] as const,
    )
    expect(isProblem([...PREAMBLE, ...chunks])).toBe(false)
  })

  test('are read up to 2 s beyond the time of the examination, because the clock may be changed', () => {
    const main = recorded({ endedAt: 3_500, chunks: timed(2, 3, 900) })
    expect(codesOf(evidenceOf({ main }))).toContain('problem buffered')
  })

  test('are compared after the beginning of the body, however late that is', () => {
    const first = Array.from({ length: 3 }, (_, n) => `data: ${T + n * 400}\n\n`).join('')
    const chunks: Chunks = [
      [2_000, first],
      [2_300, first.replaceAll('\n\ndata', '\n\ndata')],
      ...events(3, { start: 3_000, text: (n) => `data: ${T + 2_000 + n}\n\n` }),
    ]
    expect(isProblem(chunks)).toBe(false)
  })
})

describe('heartbeats in bursts', () => {
  const beats = (at: number, text = ':\n\n:\n\n') => [at, text] as const

  test.each([
    ['two bursts that are apart', [beats(5_000), beats(10_000)], {}, true],
    ['two bursts within half a second', [beats(5_000), beats(5_400)], {}, false],
    ['two bursts, when the doctor was busy', [beats(5_000), beats(5_800)], { stall: 400 }, false],
    [
      'more events than heartbeats',
      [beats(5_000, ':\n:\ndata: 1\n\ndata: 2\n\n'), beats(10_000, ':\n:\ndata: 3\n\ndata: 4\n\n')],
      {},
      false,
    ],
  ])('are judged in %s', (_name, chunks, evidence, expected) => {
    expect(isProblem([...PREAMBLE, ...chunks], evidence)).toBe(expected)
  })
})

describe('events whose ends arrive late', () => {
  const split = (pause: number, count: number): Chunks =>
    Array.from({ length: count }, (_, i) => [
      [1_000 + i * 2_000, `data: ${i}`] as const,
      [1_000 + i * 2_000 + pause, '\n\n'] as const,
    ]).flat()

  test.each([
    ['two of them', split(700, 2), {}, true],
    ['one of them', split(700, 1), {}, false],
    ['by less than half a second', split(400, 3), {}, false],
    ['when the doctor was busy', split(700, 3), { stall: 300 }, false],
  ])('are judged with %s', (_name, chunks, evidence, expected) => {
    expect(isProblem([...PREAMBLE, ...chunks], evidence)).toBe(expected)
  })

  test('may arrive in many parts without a pause', () => {
    const parts = Array.from(
      { length: 20 },
      (_, i) => [1_000 + i * 100, i === 19 ? 'a\n\n' : i ? 'a' : 'data: '] as const,
    )
    expect(
      isProblem([...PREAMBLE, ...parts, ...parts.map(([at, text]) => [at + 3_000, text] as const)]),
    ).toBe(false)
  })
})

describe('a response that arrives at its end', () => {
  const codes = (at: number, count: number, rest = {}, more: Chunks = []) => {
    const text = Array.from({ length: count }, (_, n) => `data: ${n}\n\n`).join('')
    const chunks: Chunks = [[at, text], ...more]
    return codesOf(
      evidenceOf({ main: recorded({ method: 'POST', chunks, end: 'ended', endedAt: at + 3, ...rest }) }),
    ).filter((code) => code.includes('buffered'))
  }

  test.each([
    ['three events after 2.1 s', codes(2_100, 3), ['warning buffered']],
    ['two events', codes(2_100, 2), []],
    ['three events after 1.9 s', codes(1_900, 3), []],
    ['events after which the stream stays open', codes(2_100, 3, { end: 'open', endedAt: 9_000 }), []],
    ['events long before the end', codes(2_100, 3, { endedAt: 2_700 }), []],
    ['events before others', codes(2_100, 3, { endedAt: 2_400 }, [[2_300, 'data: last\n\n']]), []],
  ])('is judged by %s', (_name, found, expected) => {
    expect(found).toEqual(expected)
  })
})

describe('bursts without times', () => {
  const bursts = (size: number, count: number, interval = 1_500): Chunks => [
    ...PREAMBLE,
    ...Array.from({ length: count }, (_, i) => {
      return [
        1_000 + i * interval,
        Array.from({ length: size }, (_, n) => `data: ${i}.${n}\n\n`).join(''),
      ] as const
    }),
  ]
  const codes = (chunks: Chunks, rest = {}, evidence = {}) =>
    codesOf(evidenceOf({ main: recorded({ endedAt: 9_000, chunks, ...rest }) }, evidence)).filter((code) =>
      code.includes('buffered'),
    )

  test.each([
    ['three of two events', bursts(2, 3), ['note buffered']],
    ['three of four events', bursts(4, 3), ['warning buffered']],
    ['three of three events', bursts(3, 3), ['note buffered']],
    ['two', bursts(4, 2), []],
    ['three within half a second each', bursts(4, 3, 400), []],
    ['four with heartbeats between them', [...bursts(4, 3), [6_000, ':\n\n'] as const], ['warning buffered']],
  ])('are judged: %s', (_name, chunks, expected) => {
    expect(codes(chunks)).toEqual(expected)
  })

  test('are no finding if the doctor was busy for as long', () => {
    expect(codes(bursts(4, 3, 900), {}, { stall: 300 })).toEqual([])
  })

  test('name the protocol if that is HTTP/2', () => {
    const main = recorded({ protocol: 'HTTP/2', endedAt: 9_000, chunks: timed(3, 3, 300) })
    expect(findingsOf(evidenceOf({ main }))[0]?.message).toMatch(/ apart\. This was over HTTP\/2\.$/)
  })

  test('are judged on the stream of each kind', () => {
    const held = recorded({ endedAt: 9_000, chunks: timed(3, 3, 300), sentAt: 2_200 })
    const main = recorded({ endedAt: 9_000, chunks: [...PREAMBLE, ...events(8)] })
    for (const name of ['http2', 'identity', 'second'])
      expect(codesOf(evidenceOf({ main, [name]: held }))).toContain('problem buffered')
  })
})
