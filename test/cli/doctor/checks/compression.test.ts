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

describe('compression', () => {
  const empty = { firstByteAt: undefined, chunks: [] }
  const codes = (main: ReturnType<typeof recorded>, identity = steady()) =>
    codesOf(evidenceOf({ main, identity })).filter((code) => code.includes('compressed'))

  test.each([
    [1_900, ['note compressed']],
    [2_100, ['problem compressed-held']],
  ])('without a byte for %i ms longer is %j', (wait, expected) => {
    expect(codes(recorded({ headers: gzip, ...empty, endedAt: 6 + wait }))).toEqual(expected)
  })

  test('without text is a warning after 3 s only, and not if it has some', () => {
    const silent = recorded({ endedAt: 18_000 })
    expect(codes(recorded({ headers: gzip, ...empty, endedAt: 2_900 }), silent)).toEqual(['note compressed'])
    expect(codes(recorded({ headers: gzip, ...empty, endedAt: 3_100 }), silent)).toEqual([
      'warning compressed-held',
    ])
    expect(codes(recorded({ headers: gzip, chunks: PREAMBLE }), silent)).toEqual(['note compressed'])
    expect(codes(recorded(empty), silent)).toEqual([])
  })

  test('until the end is a problem if events arrive one by one without', () => {
    const text = Array.from({ length: 10 }, (_, n) => `data: ${n}\n\n`).join('')
    const held = recorded({
      headers: gzip,
      headersAt: 4_999,
      end: 'ended',
      endedAt: 5_001,
      chunks: [[5_000, text]],
    })
    expect(findingsOf(evidenceOf({ main: held, identity: steady() }))[0]?.message).toMatch(
      /^With gzip, all events arrived together after 5 000 ms/,
    )
    const atOnce = recorded({ headersAt: 4_999, end: 'ended', endedAt: 5_001, chunks: [[5_000, text]] })
    expect(codesOf(evidenceOf({ main: held, identity: atOnce }))).toEqual([
      'warning buffered',
      'note compressed',
      'note no-ids',
    ])
  })

  test('over HTTP/2 only is named', () => {
    const http2 = recorded({ protocol: 'HTTP/2', headers: gzip, ...empty, endedAt: 6_000 })
    const [finding] = findingsOf(evidenceOf({ main: steady(), http2, identity: steady() }))
    expect(finding?.code).toBe('compressed-held')
    expect(finding?.message).toMatch(/ This was over HTTP\/2\.$/)
  })

  test('is not the cause if the stream is not compressed, or was refused', () => {
    expect(codes(recorded({ ...empty, endedAt: 6_000 }))).toEqual([])
    expect(
      codes(recorded({ headers: { 'content-encoding': 'identity' }, ...empty, endedAt: 6_000 })),
    ).toEqual([])
    expect(codes(recorded({ status: 500, headers: gzip, ...empty, endedAt: 6_000 }))).toEqual([])
  })

  test('is not compared with a stream that is compressed in spite of the request', () => {
    expect(codes(recorded({ headers: gzip, ...empty, endedAt: 2_500 }), steady({ headers: gzip }))).toEqual([
      'note compressed',
    ])
  })

  test('hides no buffering of the streams without it', () => {
    const burst = (at: number) =>
      [at, Array.from({ length: 4 }, (_, n) => `data: ${at + n}\n\n`).join('')] as const
    const identity = recorded({
      endedAt: 9_000,
      chunks: [...PREAMBLE, burst(1_000), burst(3_000), burst(5_000)],
    })
    const main = recorded({ headers: gzip, ...empty, endedAt: 9_000 })
    expect(codesOf(evidenceOf({ main, identity }))).toEqual([
      'problem compressed-held',
      'warning buffered',
      'note too-few-events',
    ])
  })
})

describe('a kernel that holds bytes', () => {
  const begun = (headersAt: number, rest: Recording = {}) => steady({ headersAt, ...rest })
  const head = (headersAt: number, status = 200) =>
    recorded({ method: 'HEAD', status, headersAt, end: 'ended' })
  const isDelayed = (delays: readonly number[], of: Recording = {}, others = { head: head(12) }) => {
    const [main = begun(0), identity, anyAccept, second] = delays.map((each) => begun(each, of))
    const rest = Object.fromEntries(
      Object.entries({ identity, anyAccept, second }).filter(([, each]) => each),
    )
    return findingsOf(evidenceOf({ main, ...rest, ...others })).some(({ message }) =>
      message.includes('streams began'),
    )
  }

  test.each([
    ['four streams after 200 ms', [205, 210, 215, 220], true],
    ['three streams', [205, 210, 215], false],
    ['earlier streams', [150, 210, 215, 220], false],
    ['later streams', [240, 245, 250, 255], false],
    ['one stream that is much later', [205, 210, 215, 400], false],
  ])('is known from %s', (_name, delays, expected) => {
    expect(isDelayed(delays)).toBe(expected)
  })

  test('is not known over HTTP/2, or if the response to HEAD is as slow or failed', () => {
    const delays = [205, 210, 215, 220]
    expect(isDelayed(delays, { protocol: 'HTTP/2' })).toBe(false)
    expect(isDelayed(delays, {}, { head: head(100) })).toBe(false)
    expect(isDelayed(delays, {}, { head: head(12, 404) })).toBe(false)
  })
})
