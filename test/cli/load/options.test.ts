import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { HELP } from '../../../src/cli/load/help.ts'
import { readLoadOptions } from '../../../src/cli/load/options.ts'
import { parseScenario } from '../../../src/cli/load/scenario.ts'
import { THRESHOLDS } from '../../../src/cli/load/thresholds.ts'

const URL_OF_STREAM = 'http://localhost:3000/events'

/** Reads a command line such as `--streams 10 --json`. */
function read(line: string) {
  return readLoadOptions([URL_OF_STREAM, ...line.split(' ').filter(Boolean)])
}

test('options have their defaults', () => {
  expect(read('')).toMatchObject({
    ...{ streams: 100, rate: 500, duration: 30_000, churn: 0, slow: 0, slowRate: 1000, retry: 3000 },
    ...{
      workers: undefined,
      gapEvent: 'gap',
      isJson: false,
      isOwnServer: false,
      limits: {},
      probe: undefined,
    },
    workerLimits: { utilization: 0.9, delay: 20 },
  })
})

test('the version of HTTP and the streams of a session are read from flags', () => {
  expect(read('')).toMatchObject({ http: 'auto', streamsPerSession: undefined })
  expect(read('--http 2 --streams-per-session 100')).toMatchObject({ http: '2', streamsPerSession: 100 })
})

test('options are read from flags', () => {
  const line =
    '--streams 10_000 --rate 200/s --duration 2m --churn 60/m --slow 5% --slow-rate 2kB/s --retry 1s'
  expect(
    read(`${line} --workers 4 --max-p99 50ms --max-lost 0 --min-streams 9 --sequence-field n`),
  ).toMatchObject({
    ...{ streams: 10_000, rate: 200, duration: 120_000, churn: 1, slow: 0.05, slowRate: 2000, retry: 1000 },
    ...{ workers: 4, limits: { 'max-p99': 50, 'max-lost': 0, 'min-streams': 9 }, fields: { sequence: 'n' } },
  })
  expect(read('--publish-url /publish --publish-rate 5/s').probe).toMatchObject({
    target: { url: new URL('http://localhost:3000/publish'), body: '{"probe":"{probe}"}' },
    rate: 5,
  })
})

test.each([
  ['--streams 50001', '--streams may be at most 50000. Add --raise-limits for more.'],
  ['--streams 500001 --raise-limits', '--streams may be at most 500000.'],
  ['--streams 0', '--streams "0" is too small. The least value is 1.'],
  ['--duration 61m', '--duration may be at most 1h. Add --raise-limits for more.'],
  ['--rate 0/s', '--rate "0/s" is too small.'],
  ['--slow 1% --slow-rate 5', '--slow-rate "5" is not a rate such as 500B/s or 1kB/s.'],
  ['--slow 1% --slow-rate 0B/s', '--slow-rate "0B/s" is not a rate such as 500B/s or 1kB/s.'],
  ['other', 'There may be only one URL, and "other" is another argument.'],
  ['--publish-rate 1/s', '--publish-rate needs --publish-url or --publish-command.'],
  ['--publish-url /p --publish-command x', 'Only one of --publish-url and --publish-command may be given.'],
  [
    '--publish-url /p --publish-body x',
    '--publish-body must contain {probe}, which is replaced by a number and a time.',
  ],
  [
    '--publish-url /p --time-field t',
    '--time-field has no effect on probes, which have a number and a time.',
  ],
  ['--own-sequence', '--own-sequence needs --sequence-field.'],
  ['--http 3', '--http "3" is not a value of this flag. The values are auto, 1.1, 2.'],
  ['--http 1.1 --streams-per-session 2', '--streams-per-session needs HTTP/2, and --http is 1.1.'],
  ['--streams-per-session 0', '--streams-per-session "0" is too small. The least value is 1.'],
  ['--max-p99 50', '--max-p99 "50" has no unit. Write 50s or 50ms.'],
  [
    '--rate 1/m',
    '--rate 1/m opens 100 streams within 99 minutes. It may take at most 1h. Add --raise-limits for more.',
  ],
  ['--rate 100001/s', '--rate "100001/s" is too large. The largest rate is 100000/s.'],
  ['--churn 10001/s', '--churn "10001/s" is too large. The largest rate is 10000/s.'],
  [
    '--publish-url /p --publish-rate 60001/m',
    '--publish-rate "60001/m" is too large. The largest rate is 1000/s.',
  ],
  ['--publish-header a:b', '--publish-header needs --publish-url.'],
  ['--publish-command x --publish-body {probe}', '--publish-body needs --publish-url.'],
  ['--publish-command x --publish-header a:b', '--publish-header needs --publish-url.'],
  ['--slow-rate 1kB/s', '--slow-rate needs --slow or --scenario.'],
  ['--max-lost 0', '--max-lost needs numbers, from --sequence-field, --publish-url or --publish-command.'],
  [
    '--max-duplicates 0 --time-field t',
    '--max-duplicates needs numbers, from --sequence-field, --publish-url or --publish-command.',
  ],
  ['--min-streams 101', '--min-streams 101 is more than the 100 streams of --streams.'],
  ['--max-gap 0', 'Unknown flag --max-gap. Did you mean --max-gaps?'],
])('%s is rejected', (line, message) => {
  expect(() => read(line)).toThrow(expect.objectContaining({ name: 'UsageError', message }))
})

const DOCS = readFileSync(join(import.meta.dirname, '../../../docs/load.md'), 'utf8')

test.each([
  ['help', HELP],
  ['page', DOCS],
])('the %s names only flags that exist, and each limit', (_, text) => {
  const named = [...new Set(text.match(/(?<![\w-])--[a-z][a-z\d-]*/g))]
  for (const flag of named) expect(() => readLoadOptions([flag])).not.toThrow(/Unknown flag/)
  expect(named).toEqual(expect.arrayContaining(Object.keys(THRESHOLDS).map((name) => `--${name}`)))
})

describe('a scenario', () => {
  const options = { url: new URL(URL_OF_STREAM), headers: { a: '1' }, slow: 0.1 }
  const parse = (scenario: unknown) => parseScenario(JSON.stringify(scenario), 's.json', options)

  test('has mixes with shares of all streams', () => {
    const mixes = [
      { name: 'x', share: '30%', headers: { B: '2' } },
      { url: '/other', share: 30, slow: '50%' },
    ]
    expect(parse({ mixes })).toEqual([
      { name: 'x', url: options.url, headers: { a: '1', b: '2' }, share: 0.5, slow: 0.1 },
      {
        name: 'Mix 2 of s.json',
        url: new URL('http://localhost:3000/other'),
        headers: { a: '1' },
        share: 0.5,
        slow: 0.5,
      },
    ])
  })

  test.each([
    [[], 's.json must be {"mixes": […]} with 1 to 100 mixes.'],
    [{ mixes: [] }, 's.json must be {"mixes": […]} with 1 to 100 mixes.'],
    [null, 's.json must be {"mixes": […]} with 1 to 100 mixes.'],
    [{ mixes: [{}], streams: 5 }, 's.json has an unknown field "streams". The only field is mixes.'],
    [{ mixes: [1] }, 'Mix 1 of s.json must be an object.'],
    [
      { mixes: [{}, { share: 0 }] },
      'Mix 2 of s.json has a share that is not a positive number or a percentage.',
    ],
    [
      { mixes: [{ share: '%' }] },
      'Mix 1 of s.json has a share that is not a positive number or a percentage.',
    ],
    [{ mixes: [{ url: 3 }] }, 'Mix 1 of s.json has a field url that is not a text.'],
    [{ mixes: [{ headers: { a: 1 } }] }, 'Mix 1 of s.json has headers that are not texts.'],
    [
      { mixes: [{ urls: '/' }] },
      'Mix 1 of s.json has an unknown field "urls". The fields are name, url, share, headers, slow.',
    ],
  ])('%j is rejected', (scenario, message) => {
    expect(() => parse(scenario)).toThrow(expect.objectContaining({ name: 'UsageError', message }))
  })

  test('that is not JSON is rejected in one line', () => {
    expect(() => parseScenario('{\n', 's.json', options)).toThrow(/^s\.json is not JSON: [^\n]+\.$/)
  })
})
