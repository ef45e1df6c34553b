import { describe, expect, test } from 'vitest'
import {
  codesOf,
  events,
  findingsOf,
  PREAMBLE,
  resumedAfter,
  steady,
} from '../../support/doctor/recorded-streams.ts'
import { type Chunks, evidenceOf, type Recording, recorded } from '../../support/recorded-exchange.ts'

describe('a healthy stream', () => {
  test('has no finding if events arrive one by one, and a reconnect gets those after its id', () => {
    const resume = resumedAfter('0', {
      chunks: [[5, 'id: 1\ndata: 1\n\nid: 2\ndata: 2\n\n'], ...events(8, { from: 3, start: 400 })],
    })
    const unknownId = resumedAfter('unknown', {
      chunks: [[5, 'event: gap\ndata: {}\n\n'], ...events(3, { from: 3, start: 400 })],
    })
    expect(codesOf(evidenceOf({ main: steady(), resume, unknownId }))).toEqual([])
  })
})

describe('the delay of a response', () => {
  const silent = { status: undefined, headers: {}, headersAt: undefined, firstByteAt: undefined }

  test('is a problem if no response headers arrive', () => {
    const [finding] = findingsOf(evidenceOf({ main: recorded(silent) }))
    expect(finding?.code).toBe('no-response-headers')
    expect(finding?.message).toBe('No response headers arrived within 18 000 ms.')
  })

  test('is not judged after less than a second', () => {
    expect(codesOf(evidenceOf({ main: recorded({ ...silent, endedAt: 900 }) }))).toEqual([])
  })

  test('is a warning if the headers are slow', () => {
    const main = steady({ headersAt: 3_200, firstByteAt: 3_400 })
    expect(codesOf(evidenceOf({ main }))).toContain('warning slow-headers')
  })

  test('is a warning that the headers are slow if they need as long for each request, also with the first bytes', () => {
    const slow = steady({ headersAt: 3_200, firstByteAt: 3_210, endedAt: 8_000 })
    const head = recorded({ method: 'HEAD', headersAt: 3_150, end: 'ended' })
    expect(codesOf(evidenceOf({ main: slow, identity: slow, head }))).toContain('warning slow-headers')
    const early = steady({ headersAt: 1_100, firstByteAt: 1_110, endedAt: 8_000 })
    expect(codesOf(evidenceOf({ main: slow, identity: early }))).toContain('warning headers-held')
  })

  test('is a warning if the headers arrive late with the first bytes, and those of HEAD do not', () => {
    const held = { headersAt: 1_400, firstByteAt: 1_410, endedAt: 6_000 }
    const main = steady(held)
    const head = recorded({ method: 'HEAD', headersAt: 20, end: 'ended' })
    expect(codesOf(evidenceOf({ main, head }))).toEqual(['warning headers-held'])
    expect(codesOf(evidenceOf({ main, identity: steady(), head }))).toEqual([])
    expect(codesOf(evidenceOf({ main }))).toEqual([])
  })

  test('is a warning if the body does not begin', () => {
    expect(codesOf(evidenceOf({ main: recorded() }))).toEqual(['warning no-body', 'note too-few-events'])
    expect(codesOf(evidenceOf({ main: recorded({ endedAt: 2_900 }) }))).toEqual([])
  })

  test('is a warning if the body begins late', () => {
    const main = recorded({ endedAt: 9_000, chunks: events(6, { start: 3_100 }) })
    expect(codesOf(evidenceOf({ main }))).toContain('warning slow-first-byte')
  })
})

describe('buffering', () => {
  const BURSTS = [1_000, 2_500, 4_000]
  const bursts = (block: (n: number) => string, size = 3): Chunks => [
    ...PREAMBLE,
    ...BURSTS.map(
      (at, i) => [at, Array.from({ length: size }, (_, j) => block(i * size + j)).join('')] as const,
    ),
  ]
  const T = 1_764_277_200_000

  test('is a problem if the times in events that arrive together are apart', () => {
    const chunks = bursts((n) => `data: {"sentAt":${T + n * 500}}\n\n`)
    const [finding] = findingsOf(evidenceOf({ main: recorded({ endedAt: 6_000, chunks }) }))
    expect(finding?.level).toBe('problem')
    expect(finding?.message).toBe(
      '9 events arrived in 3 bursts, and the times in the events of a burst are up to 1 000 ms apart.',
    )
  })

  test.each([
    ['ids of Redis Streams', (n: number) => `id: ${T + n * 500}-0\ndata: ${n}\n\n`],
    ['ISO times', (n: number) => `data: ${new Date(T + n * 500).toISOString()}\n\n`],
  ])('is known from %s', (_name, block) => {
    const main = recorded({ endedAt: 6_000, chunks: bursts(block) })
    expect(codesOf(evidenceOf({ main }))).toContain('problem buffered')
  })

  test('is not known from times that are apart by less than the doctor itself was busy', () => {
    const main = recorded({ endedAt: 6_000, chunks: bursts((n) => `data: ${T + n * 500}\n\n`) })
    expect(codesOf(evidenceOf({ main }, { stall: 600 }))).toEqual(['note no-ids'])
  })

  test.each([
    ['are the same', (n: number) => `data: ${T + Math.floor(n / 3) * 1_500}\n\n`],
    ['are those of old articles', (n: number) => `data: ${T + n * 86_400_000}\n\n`],
    ['decrease', (n: number) => `data: ${T - n * 500}\n\n`],
  ])('is a note if the times in a burst %s', (_name, block) => {
    const main = recorded({ endedAt: 6_000, chunks: bursts(block) })
    expect(codesOf(evidenceOf({ main }))).toEqual(['note buffered', 'note no-ids'])
  })

  test('is a warning if several events of one name arrive together each time, without times in them', () => {
    const main = recorded({ endedAt: 6_000, chunks: bursts((n) => `data: ${n}\n\n`, 4) })
    expect(codesOf(evidenceOf({ main }))).toContain('warning buffered')
    const groups = bursts((n) => `event: ${['cpu', 'memory'][n % 2]}\ndata: ${n}\n\n`, 4)
    expect(codesOf(evidenceOf({ main: recorded({ endedAt: 6_000, chunks: groups }) }))).toContain(
      'note buffered',
    )
    const times = bursts((n) => `data: ${T + Math.floor(n / 4) * 1_500}\n\n`, 4)
    expect(codesOf(evidenceOf({ main: recorded({ endedAt: 6_000, chunks: times }) }))).toContain(
      'note buffered',
    )
  })

  test('is no finding if a history arrives at once, and the next events one by one', () => {
    const history: Chunks = [[6, Array.from({ length: 9 }, (_, n) => `data: ${T + n * 500}\n\n`).join('')]]
    const live = events(8, { from: 9, text: (n) => `data: ${T + n * 500}\n\n` })
    const main = recorded({ endedAt: 6_000, chunks: [...history, ...live] })
    expect(codesOf(evidenceOf({ main }))).toEqual(['note no-ids'])
  })

  test('is a problem if the first events arrive as late as their times are apart', () => {
    const first = Array.from({ length: 9 }, (_, n) => `data: ${T + n * 500}\n\n`).join('')
    const main = recorded({ endedAt: 6_000, headersAt: 4_400, chunks: [[4_401, first]] })
    expect(codesOf(evidenceOf({ main }))).toContain('problem buffered')
  })

  test('is a problem if heartbeats arrive in bursts', () => {
    const chunks: Chunks = [...PREAMBLE, [5_000, ':\n\n:\n\n:\n\n'], [10_000, ':\n\n:\n\n:\n\n']]
    const [finding] = findingsOf(evidenceOf({ main: recorded({ endedAt: 12_000, chunks }) }))
    expect(finding?.message).toBe('Heartbeats arrived in 2 bursts of up to 3.')
  })

  test('is no finding if a heartbeat has two different lines', () => {
    const chunks: Chunks = [...PREAMBLE, [5_000, ': a\n: b\n\n'], [10_000, ': a\n: b\n\n']]
    expect(codesOf(evidenceOf({ main: recorded({ endedAt: 12_000, chunks }) }))).toEqual([
      'note too-few-events',
    ])
  })

  test('is a problem if the ends of events arrive long after their beginnings', () => {
    const chunks: Chunks = [
      ...PREAMBLE,
      [600, 'data: a'],
      [1_600, 'a\n\ndata: b'],
      [2_600, 'b\n\n'],
      [3_600, 'data: c\n\n'],
    ]
    const [finding] = findingsOf(evidenceOf({ main: recorded({ endedAt: 6_000, chunks }) }))
    expect(finding?.code).toBe('buffered')
    expect(finding?.message).toBe('The ends of 2 events arrived up to 1 000 ms after their beginnings.')
  })

  test('is a warning if all events arrive together at the end', () => {
    const chunks: Chunks = [[4_000, 'data: a\n\ndata: b\n\ndata: c\n\n']]
    const main = recorded({ method: 'POST', headersAt: 4_000, endedAt: 4_002, end: 'ended', chunks })
    expect(codesOf(evidenceOf({ main }))).toEqual(['warning buffered'])
  })
})

describe('compression', () => {
  const gzip = { 'content-encoding': 'gzip' }

  test('is a note if events arrive at once', () => {
    const main = steady({ headers: gzip })
    expect(codesOf(evidenceOf({ main, identity: steady() }))).toEqual(['note compressed'])
  })

  test('is a problem if nothing arrives with it', () => {
    const main = recorded({ headers: gzip, endedAt: 6_000 })
    const [finding, ...others] = findingsOf(evidenceOf({ main, identity: steady() }))
    expect(finding?.code).toBe('compressed-held')
    expect(finding?.message).toBe(
      'With gzip, nothing arrived within 6 000 ms. Without, the first bytes arrived after 6 ms.',
    )
    expect(others.map(({ code }) => code)).not.toContain('no-body')
  })

  // varnish with do_gzip, which also holds what it decompresses.
  test('is a warning if nothing arrives with it or without it', () => {
    const main = recorded({ headers: gzip, firstByteAt: 6, endedAt: 6_000 })
    const [finding, ...others] = findingsOf(evidenceOf({ main, identity: recorded() }))
    expect(finding?.level).toBe('warning')
    expect(finding?.message).toBe('The stream is compressed with gzip, and contains no text after 6 000 ms.')
    expect(others.map(({ code }) => code)).toEqual(['too-few-events'])
  })

  test('is a problem if not even the headers arrive with it', () => {
    const main = recorded({ status: undefined, headersAt: undefined, endedAt: 6_000 })
    expect(codesOf(evidenceOf({ main, identity: steady() }))).toEqual(['problem compressed-held'])
  })

  test('is a problem if events arrive in bursts with it only', () => {
    const pairs = events(5, {
      start: 1_000,
      interval: 1_000,
      text: (n) => `data: ${2 * n}\n\ndata: ${2 * n + 1}\n\n`,
    })
    const main = recorded({ headers: gzip, endedAt: 6_000, chunks: [...PREAMBLE, ...pairs] })
    expect(codesOf(evidenceOf({ main, identity: steady() }))).toContain('problem compressed-held')
  })

  test('is a problem if each event waits for the next one', () => {
    const main = recorded({
      headers: gzip,
      endedAt: 6_000,
      chunks: [...PREAMBLE, [7, 'id: 0\ndata: 0\n\n'], ...events(9, { start: 1_100 })],
    })
    const second = recorded({ sentAt: 2_200, endedAt: 3_800, chunks: events(6, { from: 5, start: 400 }) })
    const codes = codesOf(evidenceOf({ main, identity: steady(), second }))
    expect(codes).toEqual(['problem compressed-held'])
  })
})

describe('a delay', () => {
  const shared = (late: number) => ({
    main: steady({ chunks: [...PREAMBLE, [7, 'id: 0\ndata: 0\n\n'], ...events(10, { start: 600 + late })] }),
    http2: steady({ protocol: 'HTTP/2' }),
    second: recorded({ sentAt: 2_200, endedAt: 3_800, chunks: events(6, { from: 5, start: 400 }) }),
  })

  test('is a warning if the same events arrive later on one connection', () => {
    const [finding] = findingsOf(evidenceOf(shared(200)))
    expect(finding?.code).toBe('delayed')
    expect(finding?.message).toBe('Events over HTTP/1.1 arrived 200 ms later than over HTTP/2.')
  })

  // haproxy without http-no-delay, measured.
  test('is a warning if each stream begins after the time for which a kernel holds bytes', () => {
    const begun = (headersAt: number) => ({
      main: steady({ headersAt }),
      identity: steady({ headersAt: headersAt + 20 }),
    })
    const others = { anyAccept: steady({ headersAt: 222 }), second: steady({ headersAt: 216 }) }
    const head = recorded({ method: 'HEAD', headersAt: 12, end: 'ended' })
    const [finding] = findingsOf(evidenceOf({ ...begun(213), ...others, head }))
    expect(finding?.code).toBe('delayed')
    expect(finding?.message).toBe(
      '4 streams began 212 to 232 ms after the connection, and the response to HEAD after 11 ms.',
    )
    expect(codesOf(evidenceOf({ ...begun(150), ...others, head }))).toEqual([])
    expect(codesOf(evidenceOf({ ...begun(213), ...others }))).toEqual([])
  })

  test('is no finding if it is short', () => {
    expect(codesOf(evidenceOf(shared(50)))).toEqual([])
  })

  test('is no finding if each connection has events of its own with the same ids', () => {
    const own = recorded({ sentAt: 2_200, endedAt: 3_800, chunks: [[7, 'id: 0\ndata: 0\n\n'], ...events(6)] })
    expect(codesOf(evidenceOf({ ...shared(200), second: own }))).toEqual([])
  })
})

describe('heartbeats', () => {
  const beats = (interval: number, count: number): Chunks => [
    ...PREAMBLE,
    ...Array.from({ length: count }, (_, i) => [(i + 1) * interval, ':\n\n'] as const),
  ]
  const watched = (interval: number, count: number, endedAt: number) =>
    codesOf(evidenceOf({ main: recorded({ endedAt, chunks: beats(interval, count) }) })).filter((code) =>
      code.includes('heartbeat'),
    )

  test('are no finding every 15 s or 25 s', () => {
    expect(watched(15_000, 1, 18_000)).toEqual([])
    expect(watched(25_000, 4, 110_000)).toEqual([])
  })

  test('are a note if there is none in the time of an examination', () => {
    expect(watched(20_000, 0, 18_000)).toEqual(['note no-heartbeat'])
  })

  test('are a warning if there is none in more than 25 s', () => {
    expect(watched(20_000, 0, 28_000)).toEqual(['warning no-heartbeat'])
  })

  test('are a warning every 45 s, with the proxies that close the stream', () => {
    const main = recorded({ endedAt: 100_000, chunks: beats(45_000, 2) })
    const finding = findingsOf(evidenceOf({ main })).find(({ code }) => code === 'slow-heartbeat')
    expect(finding?.level).toBe('warning')
    expect(finding?.message).toBe(
      'Nothing arrived for 45 000 ms. This is too long for h2o (30 s), Apache Traffic Server (31 s).',
    )
  })

  test('are a problem after 60 s', () => {
    expect(watched(70_000, 2, 150_000)).toEqual(['problem slow-heartbeat'])
  })
})

describe('resume', () => {
  const main = steady()
  const codes = (resume: Recording, others = {}) =>
    codesOf(evidenceOf({ main, resume: resumedAfter('0', resume), ...others }))
  const REST = events(8, { from: 3, start: 400 })
  const EXACT: Chunks = [[5, 'id: 1\ndata: 1\n\nid: 2\ndata: 2\n\n'], ...REST]

  test('is a problem if a reconnect gets another status', () => {
    expect(codes({ status: 500 })).toEqual(['problem resume-failed'])
    expect(codes({ status: 204 })).toEqual(['problem resume-failed'])
    expect(codes({ status: 429 })).toEqual([])
  })

  test('is a warning if the id is ignored', () => {
    expect(codes({ chunks: REST })).toEqual(['warning resume-ignored'])
  })

  test('is not judged by a reconnect that was closed before a server that is slow to begin has begun', () => {
    const main = steady({ headersAt: 5, firstByteAt: 5_000, endedAt: 12_000 })
    const resume = resumedAfter('0', { sentAt: 6_500, endedAt: 4_000, chunks: [] })
    expect(codesOf(evidenceOf({ main, resume })).join()).not.toContain('resume')
  })

  test('is no finding if the gap is reported', () => {
    expect(codes({ chunks: [[5, 'event: gap\ndata: {}\n\n'], ...REST] })).toEqual([])
  })

  test('is a problem if events are missing in the middle', () => {
    const evidence = evidenceOf({
      main,
      resume: resumedAfter('0', { chunks: [[5, 'id: 2\ndata: 2\n\n'], ...REST] }),
    })
    const [finding] = findingsOf(evidence)
    expect(finding?.code).toBe('resume-skips')
    expect(finding?.message).toBe(
      'A reconnect with the id "0" skipped 1 of 9 events after it, for example "1".',
    )
  })

  test('is a problem if an event is lost between the replay and the live events', () => {
    expect(codes({ chunks: [EXACT[0] as Chunks[0], ...REST.slice(1)] })).toEqual(['problem resume-skips'])
  })

  test('is a warning if the event of the id is sent again', () => {
    expect(codes({ chunks: [[5, 'id: 0\ndata: 0\n\n'], ...EXACT] })).toEqual(['warning resume-repeats'])
    const resumeLast = resumedAfter('2', { chunks: [[5, 'id: 2\ndata: 2\n\n'], ...REST] })
    expect(codes({ chunks: EXACT }, { resumeLast })).toEqual(['warning resume-repeats'])
  })

  test('is no finding if the position is sent again without an event, or with another one', () => {
    expect(codes({ chunks: [[5, 'id: 0\n\n'], ...EXACT] })).toEqual([])
    expect(codes({ chunks: [[5, 'id: 0\nevent: position\ndata: {}\n\n'], ...EXACT] })).toEqual([])
  })

  // NestJS gives each event such an id.
  test('is a warning if the ids are numbers that each connection counts from 1', () => {
    const own = events(10, { start: 5, text: (n) => `id: ${n}\ndata: other ${n}\n\n` })
    expect(codes({ chunks: own })).toEqual(['warning resume-ignored'])
  })

  test('is a warning if an unknown id is ignored', () => {
    const unknownId = resumedAfter('unknown', { chunks: REST })
    expect(codes({ chunks: EXACT }, { unknownId })).toEqual(['warning unknown-id-ignored'])
    const atPosition = resumedAfter('unknown', { chunks: [[5, 'id: 2\n\n'], ...REST] })
    expect(codes({ chunks: EXACT }, { unknownId: atPosition })).toEqual(['warning unknown-id-ignored'])
  })

  test.each([
    ['of its own name', 'event: snapshot\ndata: {}\n\n'],
    ['without an id', 'data: {"state":1}\n\n'],
  ])('is no finding if a client with an unknown id gets the present state as an event %s', (_name, text) => {
    const state = [8, text] as const
    const main = steady({ chunks: [...PREAMBLE, [7, 'id: 0\ndata: 0\n\n'], state, ...events(10)] })
    const unknownId = resumedAfter('unknown', { chunks: [state, ...REST] })
    const resume = resumedAfter('0', { chunks: EXACT })
    expect(codesOf(evidenceOf({ main, resume, unknownId }))).toEqual([])
  })

  test('is a warning if the first events of each client are live ones of several names', () => {
    const text = (n: number) => `event: ${n % 2 ? 'a' : 'b'}\nid: ${n}\ndata: ${n}\n\n`
    const live = events(8, { from: 3, start: 400, text })
    const main = steady({ chunks: [...PREAMBLE, [7, text(0)], ...events(10, { text })] })
    const resume = resumedAfter('0', { chunks: [[5, text(1) + text(2)], ...live] })
    const unknownId = resumedAfter('unknown', { chunks: live })
    expect(codesOf(evidenceOf({ main, resume, unknownId }))).toEqual(['warning unknown-id-ignored'])
  })

  test.each([
    ['a response header', { headers: { 'last-event-id': 'earliest' }, chunks: REST }],
    ['the whole history', { chunks: [[5, 'id: 0\ndata: 0\n\n'] as const, ...EXACT] }],
    ['a status', { status: 204 }],
  ])('is no finding if an unknown id is reported by %s', (_name, recording) => {
    expect(codes({ chunks: EXACT }, { unknownId: resumedAfter('unknown', recording) })).toEqual([])
  })

  test('is a note if there are no ids', () => {
    const main = recorded({
      endedAt: 6_000,
      chunks: [...PREAMBLE, ...events(8, { text: (n) => `data: ${n}\n\n` })],
    })
    expect(codesOf(evidenceOf({ main }))).toEqual(['note no-ids'])
  })

  test('is a note if the first id arrives with the first event', () => {
    const main = recorded({ endedAt: 6_000, chunks: [...PREAMBLE, ...events(8, { start: 1_200 })] })
    expect(codesOf(evidenceOf({ main }))).toEqual(['note no-first-position'])
  })

  test('is not judged by ids that are not unique', () => {
    const same = recorded({
      endedAt: 6_000,
      chunks: [...PREAMBLE, ...events(8, { text: (n) => `id: ${n % 2}\ndata: ${n}\n\n` })],
    })
    expect(codesOf(evidenceOf({ main: same, resume: resumedAfter('1', { chunks: REST }) }))).toEqual([])
  })
})

describe('the end of a stream', () => {
  const chunks = events(3, { start: 10, interval: 200 })

  test('is a problem if it is cut', () => {
    const main = recorded({ end: 'cut', error: 'aborted', endedAt: 3_200, chunks: [...chunks] })
    const [finding] = findingsOf(evidenceOf({ main }))
    expect(finding?.code).toBe('cut')
    expect(finding?.message).toBe('The stream over HTTP/1.1 was cut after 3 200 ms (aborted).')
  })

  test('is a warning if a reconnect gets the same events', () => {
    const main = recorded({ end: 'ended', endedAt: 700, chunks })
    const reconnect = recorded({ end: 'ended', endedAt: 700, chunks })
    expect(codesOf(evidenceOf({ main, reconnect }))).toEqual(['warning ends'])
  })

  test.each([
    ['a reconnect gets no event again', events(3, { from: 4, start: 10 }), chunks],
    ['its last event is a sign of the end', [...chunks, [620, 'data: [DONE]\n\n'] as const], chunks],
  ])('is a note if %s', (_name, again, first) => {
    const isMarked = again.some(([, chunk]) => String(chunk).includes('DONE'))
    const main = recorded({ end: 'ended', endedAt: 700, chunks: isMarked ? again : first })
    const reconnect = recorded({ end: 'ended', endedAt: 700, chunks: again })
    expect(codesOf(evidenceOf({ main, reconnect }))).toEqual(['note ends'])
  })

  test('is no finding if a reconnect gets a 204, or the request was a POST', () => {
    const main = recorded({ end: 'ended', endedAt: 700, chunks })
    expect(codesOf(evidenceOf({ main, reconnect: recorded({ status: 204, chunks: [] }) }))).toEqual([])
    expect(codesOf(evidenceOf({ main: { ...main, method: 'POST' }, reconnect: main }))).toEqual([])
  })
})

describe('an examination with few events', () => {
  test('states in a note what could not be judged', () => {
    const main = recorded({ chunks: [...PREAMBLE, [15_000, ':\n\n']] })
    const [finding] = findingsOf(evidenceOf({ main }))
    expect(finding?.code).toBe('too-few-events')
    expect(finding?.message).toBe(
      '0 events arrived after the beginning, so that buffering and resume could not be judged.',
    )
  })
})
