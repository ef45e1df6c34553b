import { describe, expect, test } from 'vitest'
import { Figures } from '../../../src/cli/load/figures.ts'
import { assign, type Mix, type WorkerReport } from '../../../src/cli/load/plan.ts'
import { refusalOf } from '../../../src/cli/load/refusal.ts'
import { type RunFacts, reportOf } from '../../../src/cli/load/report.ts'
import { workersFor, workersOf } from '../../../src/cli/load/run.ts'
import { summaryOf } from '../../../src/cli/load/summary.ts'
import { Tally } from '../../../src/cli/load/tally.ts'
import { judge } from '../../../src/cli/load/thresholds.ts'

const IDLE = { utilization: 0.1, loopDelay: 1, ownDelay: 1 }
const LIMITS = { utilization: 0.9, delay: 20 }

function mix(name: string, share: number, slow = 0): Mix {
  const address = { address: '127.0.0.1', family: 4 } as const
  const connection = { protocol: 'HTTP/1.1', streamsPerConnection: 1 } as const
  return { name, share, slow, url: 'http://a/', address, headers: {}, ...connection }
}

function workerReport(...tallies: Tally[]): WorkerReport {
  return {
    mixes: tallies.map((tally) => ({
      counts: tally.counts,
      samples: tally.flush(),
      highest: tally.highest,
      longestSilence: tally.longestSilence,
    })),
    load: IDLE,
  }
}

const FACTS: RunFacts = {
  ...{ url: 'http://a/', startedAt: 0, elapsed: 10_000, isInterrupted: false, refusal: undefined },
  ...{
    planned: 2,
    plannedRate: 500,
    openAtEnd: { streams: [2], sessions: 0 },
    mixes: [mix('all', 1)],
    probes: null,
  },
}

describe('figures', () => {
  test('have percentiles of the samples of all workers', () => {
    const figures = new Figures(2, 1)
    for (const [worker, first] of [1, 501].entries()) {
      const tally = new Tally()
      for (let ms = first; ms < first + 500; ms++) tally.record('delay', ms)
      figures.add(worker, workerReport(tally))
    }
    const { count, min, p50, p90, p99, p999, max } = figures.durations('delay') ?? {}
    expect({ count, min, max }).toEqual({ count: 1000, min: 1, max: 1000 })
    for (const [value, expected] of [
      [p50, 500],
      [p90, 900],
      [p99, 990],
      [p999, 999],
    ] as const) {
      // The histogram is exact to 0.1 % of a value.
      expect(Math.abs((value ?? 0) / expected - 1)).toBeLessThan(0.0011)
    }
  })

  test('count each worker once, with its newest counts', () => {
    const figures = new Figures(2, 1)
    const tallies = [new Tally(), new Tally()]
    for (let round = 0; round < 3; round++) {
      for (const [worker, tally] of tallies.entries()) {
        tally.counts.events += 10
        tally.fail('503')
        figures.add(worker, structuredClone(workerReport(tally)))
      }
    }
    expect(figures.counts()).toMatchObject({ events: 60, errors: { 503: 6 } })
  })
})

describe('a report', () => {
  test('has null for all that was not measured', () => {
    const figures = new Figures(1, 1)
    figures.add(0, workerReport(new Tally()))
    const report = reportOf(figures, FACTS)
    expect(report).toMatchObject({
      sequence: null,
      resumes: null,
      probes: null,
      delays: { source: null, live: null },
    })
    const verdicts = judge(report, { 'max-p99': 50, 'max-lost': 0, 'max-gaps': 0, 'min-streams': 3 })
    expect(verdicts.map(({ value, isMet }) => [value, isMet])).toEqual([
      [null, false],
      [null, false],
      [null, false],
      [2, false],
    ])
    expect(summaryOf({ ...report, thresholds: verdicts })).toContain('--max-p99 50.0 ms: not measured')
  })

  test('has no delays if the clocks differ, which the summary says', () => {
    const tally = new Tally()
    tally.record('delay', 5)
    tally.record('headers', 5)
    Object.assign(tally.counts, { events: 100, timed: 100, early: 2, opened: 2 })
    const figures = new Figures(1, 1)
    figures.add(0, workerReport(tally))
    const report = reportOf(figures, FACTS)
    expect(report.delays).toMatchObject({ source: 'data', live: null })
    expect(report.connections.headers).not.toBeNull()
    expect(summaryOf({ ...report, thresholds: [] })).toContain(
      'No delays, because 2 events arrived before their time. The clocks differ.\n',
    )
  })

  test('has figures if it was ended before its start', () => {
    const figures = new Figures(1, 1)
    figures.add(0, workerReport(new Tally()))
    expect(reportOf(figures, { ...FACTS, elapsed: 0 }).events.perSecond).toBe(0)
  })

  test('has no durations after a refusal, and all counts', () => {
    const tally = new Tally()
    tally.record('delay', 5)
    tally.record('headers', 5)
    tally.record('heartbeat', 5)
    Object.assign(tally.counts, { events: 7, timed: 7, opened: 2 })
    const figures = new Figures(1, 1)
    figures.add(0, workerReport(tally))
    const report = reportOf(figures, { ...FACTS, refusal: 'Too busy.' })
    expect(report.events.received).toBe(7)
    expect(JSON.stringify(report)).not.toContain('p99')
    const text = summaryOf({ ...report, thresholds: [] })
    expect(text).toContain('No durations: Too busy.')
    expect(text).not.toMatch(/\d ms/)
  })

  test('shows durations in a table', () => {
    const tally = new Tally()
    for (const ms of [1, 2, 3, 1500]) tally.record('delay', ms)
    Object.assign(tally.counts, { events: 4, timed: 4, opened: 12_345 })
    const figures = new Figures(1, 1)
    figures.add(0, workerReport(tally))
    const text = summaryOf({ ...reportOf(figures, FACTS), thresholds: [] })
    expect(text).toMatch(
      /p50 +p90 +p99 +p99\.9 +max\n {2}delay +2\.00 ms +1\.50 s +1\.50 s +1\.50 s +1\.50 s\n/,
    )
    expect(text).toContain('12 345 of 2 opened')
  })
})

describe('durations are refused', () => {
  test.each([
    ['a busy core', { ...IDLE, utilization: 0.91 }, 'its core was 91 % busy'],
    ['late timers', { ...IDLE, loopDelay: 21 }, 'its timers were 21 ms late (p99)'],
    ['events that waited in the worker', { ...IDLE, ownDelay: 30 }, 'events waited 30 ms in it (p99)'],
  ])('because of %s', (_, load, cause) => {
    expect(refusalOf([IDLE, load], LIMITS)).toBe(
      `Worker 2 of 2 could not keep up: ${cause}. Use --workers 4 on a machine with enough free cores, or fewer streams.`,
    )
  })

  test('because of probes that were late without the server', () => {
    expect(refusalOf([IDLE], LIMITS, 21)).toBe(
      'Probes were begun 21 ms late (p99), because the process that publishes them could not keep up. Use a lower --publish-rate.',
    )
  })

  test('not if all workers kept up', () => {
    expect(refusalOf([IDLE, { utilization: 0.9, loopDelay: 20, ownDelay: 20 }], LIMITS)).toBeUndefined()
  })
})

test('streams alternate between mixes and between slow and fast according to their shares', () => {
  const mixes = [mix('a', 0.75, 0.2), mix('b', 0.25, 0)]
  const assigned = assign(mixes, 40)
  for (const count of [4, 8, 20, 40]) {
    expect(assigned.slice(0, count).filter((each) => each.mix === 0)).toHaveLength(count * 0.75)
  }
  expect(assigned.filter(({ isSlow }) => isSlow)).toHaveLength(6)
})

test.each([
  [{ streams: 50_000, workers: undefined }, 1024, undefined],
  [{ streams: 50_000, workers: 52 }, 1024, undefined],
  [{ streams: 50_000, workers: 51 }, 1024, '50000 streams need 52 workers'],
  [{ streams: 50_000, workers: undefined }, 128, '50000 streams need 642 workers'],
  [{ streams: 10, workers: 1 }, 60, undefined],
] as const)('%j with %d descriptors are refused if they are too few', (options, descriptors, message) => {
  const check = () => workersOf({ ...options, maxWorkers: 64 }, descriptors)
  if (message === undefined) expect(check()).toBeGreaterThan(0)
  else expect(check).toThrow(message)
})

test('streams that share sessions need fewer descriptors', () => {
  const options = { streams: 50_000, workers: 1, maxWorkers: 64 }
  expect(workersOf(options, 1024, 500)).toBe(1)
})

test.each([
  [10_000, 1000, 1024, 8, 4],
  [10_000, 10_000, 1024, 8, 11],
])(
  '%d streams on %d connections with %d descriptors and %d cores have %d workers',
  (streams, connections, descriptors, cores, workers) => {
    expect(workersFor(streams, descriptors, connections, cores)).toBe(workers)
  },
)

test.each([
  [100, 20_000, 8, 1],
  [10_000, 20_000, 8, 4],
  [10_000, 20_000, 2, 1],
  [10_000, 1024, 2, 11],
  [50_000, Number.POSITIVE_INFINITY, 4, 3],
])('%d streams with %d descriptors and %d cores have %d workers', (streams, descriptors, cores, workers) => {
  expect(workersFor(streams, descriptors, streams, cores)).toBe(workers)
})

describe('a report of HTTP/2', () => {
  const http2 = { protocol: 'HTTP/2', streamsPerConnection: 10 } as const

  function reportFor(mixes: RunFacts['mixes']) {
    const figures = new Figures(2, mixes.length)
    for (const worker of [0, 1]) {
      const tallies = mixes.map(() => new Tally())
      for (const [i, tally] of tallies.entries())
        if (mixes[i]?.protocol === 'HTTP/2') Object.assign(tally.counts, { sessions: 3, openSessions: 2 })
      figures.add(worker, workerReport(...tallies))
    }
    const openAtEnd = { streams: mixes.map(() => 1), sessions: 4 }
    return { ...reportOf(figures, { ...FACTS, mixes, openAtEnd }), thresholds: [] }
  }

  test('has its sessions', () => {
    const report = reportFor([{ ...mix('all', 1), ...http2 }])
    expect(report.protocols).toEqual(['HTTP/2'])
    expect(report.connections.sessions).toEqual({ opened: 6, openAtEnd: 4 })
    expect(summaryOf(report)).toMatch(/\n {2}protocol +HTTP\/2, sessions: 6 opened, 4 open at the end\n/)
  })

  test('of several mixes has the protocol of each', () => {
    const report = reportFor([mix('a', 0.5), { ...mix('b', 0.5), ...http2 }])
    expect(report.mixes.map(({ protocol }) => protocol)).toEqual(['HTTP/1.1', 'HTTP/2'])
    expect(summaryOf(report)).toContain('HTTP/1.1 and HTTP/2, sessions: 6 opened')
  })

  test('of HTTP/1.1 has none', () => {
    const report = reportFor([mix('all', 1)])
    expect(report.connections.sessions).toBeNull()
    expect(summaryOf(report)).toMatch(/\n {2}protocol +HTTP\/1.1\n/)
  })
})
