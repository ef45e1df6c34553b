import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'
import { Figures } from '../../../src/cli/load/figures.ts'
import { type LoadReport, type RunFacts, reportOf } from '../../../src/cli/load/report.ts'
import { METRICS, Tally } from '../../../src/cli/load/tally.ts'
import { judge } from '../../../src/cli/load/thresholds.ts'
import { programOf, schemaOf } from '../../support/json-schema.ts'

const FILE = 'src/cli/load/report.ts'
const PATH = join(import.meta.dirname, '../../../schemas/load-report.json')

// UPDATE_SCHEMAS=1 writes the file.
test('schemas/load-report.json is the schema of the type LoadReport', () => {
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'npx spillway load: LoadReport',
    ...schemaOf(programOf([FILE]), FILE, 'LoadReport'),
  }
  if (process.env.UPDATE_SCHEMAS) writeFileSync(PATH, `${JSON.stringify(schema, undefined, 2)}\n`)
  expect(JSON.parse(readFileSync(PATH, 'utf8'))).toEqual(schema)
})

const MIX = {
  ...{ share: 0.5, slow: 0, headers: {}, address: { address: '127.0.0.1', family: 4 } as const },
  ...({ protocol: 'HTTP/2', streamsPerConnection: 10 } as const),
}
const FACTS: RunFacts = {
  ...{ url: 'http://a/', startedAt: 0, elapsed: 0, isInterrupted: false, refusal: undefined, probes: null },
  ...{ planned: 2, plannedRate: 500, openAtEnd: { streams: [2], sessions: 1 } },
  mixes: [{ ...MIX, name: 'all', url: 'http://a/' }],
}

/** Returns a report in which each member that may be null is null, or in which none is. */
function reportWith(isMeasured: boolean): LoadReport {
  const mixes = isMeasured ? ['a', 'b'] : ['all']
  const tallies = mixes.map(() => new Tally())
  const figures = new Figures(1, mixes.length)
  if (isMeasured) {
    for (const tally of tallies) {
      for (const metric of METRICS) tally.record(metric, 5)
      tally.fail('503')
      Object.assign(tally.counts, { events: 9, timed: 9, numbered: 9, opened: 1, heartbeats: 2 })
    }
  }
  figures.add(0, {
    mixes: tallies.map((tally) => ({
      ...{ counts: tally.counts, samples: tally.flush(), highest: 1, longestSilence: 5 },
    })),
    load: { utilization: 0.1, loopDelay: 1, ownDelay: 1 },
  })
  const durations = figures.durations('delay') ?? null
  const report = reportOf(figures, {
    ...FACTS,
    ...(isMeasured
      ? { probes: { published: 1, failed: 1, waiting: 0, failure: 'status 503', lateness: durations } }
      : { refusal: 'Too busy.' }),
    mixes: mixes.map((name) => ({ ...MIX, name, url: 'http://a/' })),
  })
  return { ...report, thresholds: judge(report, { 'max-p99': 50, 'max-gaps': 0 }) }
}

describe('the schema of a report', () => {
  const isReport = new Ajv2020({ allErrors: true }).compile(JSON.parse(readFileSync(PATH, 'utf8')))
  const read = (value: unknown) => JSON.parse(JSON.stringify(value))
  const report = reportWith(true)

  // The long tests validate the reports of real runs.
  test.each([true, false])('is valid for a report in which everything is measured: %s', (isMeasured) => {
    isReport(read(reportWith(isMeasured)))
    expect(isReport.errors).toBe(null)
  })

  test.each([
    ['an unknown member', { ...report, more: 1 }],
    ['an unknown member of the streams', { ...report, streams: { ...report.streams, more: 1 } }],
    ['an unknown member of durations', { ...report, delays: { ...report.delays, live: { more: 1 } } }],
    ['an unknown limit', { ...report, thresholds: [{ ...report.thresholds[0], name: 'max-p95' }] }],
    ['another version', { ...report, version: 2 }],
    ['another source of delays', { ...report, delays: { ...report.delays, source: 'clock' } }],
    ['a missing member', { ...report, url: undefined }],
    ['another type', { ...report, elapsed: '5' }],
    [
      'an error cause without a number',
      { ...report, connections: { ...report.connections, errorsByCause: { 503: null } } },
    ],
  ])('is closed to %s', (_, value) => {
    expect(isReport(read(value))).toBe(false)
  })
})
