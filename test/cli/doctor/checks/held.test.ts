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
