import { describe, expect, test } from 'vitest'
import { codesOf, events, findingsOf, PREAMBLE, steady } from '../../../support/doctor/recorded-streams.ts'
import { type Chunks, evidenceOf, type Recording, recorded } from '../../../support/recorded-exchange.ts'

const gzip = { 'content-encoding': 'gzip' }

/** Chunks with groups of events, 800 ms apart. */
function groups(sizes: readonly number[], name = ''): Chunks {
  return sizes.map((size, i) => [
    1_000 + i * 800,
    Array.from({ length: size }, (_, n) => `data: ${name}${i}.${n}\n\n`).join(''),
  ])
}

const groupsOfIds = (...ids: number[][]): Chunks =>
  ids.map((each, i) => [2_600 + i * 1_500, each.map((id) => `id: ${id}\ndata: ${id}\n\n`).join('')])

const compressed = (chunks: Chunks, rest: Recording = {}) =>
  recorded({ headers: gzip, endedAt: 8_000, chunks: [...PREAMBLE, ...chunks], ...rest })
const plain = (chunks: Chunks) => recorded({ endedAt: 8_000, chunks: [...PREAMBLE, ...chunks] })

describe('events that arrive together with compression only', () => {
  const codes = (main: Chunks, identity: Chunks) =>
    codesOf(evidenceOf({ main: compressed(main), identity: plain(identity) })).filter((code) =>
      code.includes('compressed-held'),
    )

  test.each([
    ['in each of several bursts', [3, 2, 4, 3], [1, 1, 1, 1, 1]],
    ['in two bursts', [5, 5], [1, 1, 1, 1]],
    ['by far more than without', [6, 6, 6], [2, 2, 2, 2]],
  ])('are a problem %s', (_name, ours, theirs) => {
    expect(codes(groups(ours, 'a'), groups(theirs, 'b'))).toEqual(['problem compressed-held'])
  })

  test.each([
    ['some arrive alone, as the events of each reader may', [1, 1, 2, 3], [1, 1, 1, 1]],
    ['there is one burst', [5], [1, 1, 1, 1]],
    ['there are too few events without compression', [3, 3, 3], [1, 1, 1]],
    ['they arrive together without compression too', [3, 3, 3], [3, 2, 3, 3]],
  ])('are no finding if %s', (_name, ours, theirs) => {
    expect(codes(groups(ours, 'a'), groups(theirs, 'b'))).toEqual([])
  })

  test('are a problem if some arrive alone, and all readers get the same ones', () => {
    const pairs: Chunks = [[1_600, 'id: 3\ndata: 3\n\n'], ...groupsOfIds([4, 5, 6], [7, 8, 9], [10])]
    const main = steady({ headers: gzip, chunks: [...PREAMBLE, [7, 'id: 0\ndata: 0\n\n'], ...pairs] })
    const second = recorded({ sentAt: 2_200, endedAt: 3_800, chunks: events(6, { from: 5, start: 400 }) })
    const [finding] = findingsOf(evidenceOf({ main, identity: steady(), second }))
    expect(finding?.message).toMatch(/^With gzip, \d\.\d events arrived together/)
  })

  test('are known from heartbeats too', () => {
    const beats = (size: number): Chunks => groups([0, 0, 0, 0, 0]).map(([at]) => [at, ':\n\n'.repeat(size)])
    expect(codes(beats(3), beats(1))).toEqual(['problem compressed-held'])
  })
})
