import {
  quote,
  readChoice,
  readDuration,
  readHeaders,
  readInteger,
  readPercentage,
  readRate,
} from '../flag-values.ts'
import { type FlagValues, readFlags } from '../flags.ts'
import { readTargetUrl } from '../target-url.ts'
import { UsageError } from '../usage-error.ts'
import type { DataFields } from './data-reader.ts'
import { HTTP_VERSIONS, type HttpVersion } from './negotiate.ts'
import type { LoadLimits } from './refusal.ts'
import { type Limits, THRESHOLDS, type ThresholdName } from './thresholds.ts'

const FLAGS = {
  streams: 'text',
  rate: 'text',
  duration: 'text',
  workers: 'text',
  http: 'text',
  'streams-per-session': 'text',
  scenario: 'text',
  slow: 'text',
  'slow-rate': 'text',
  churn: 'text',
  retry: 'text',
  'gap-event': 'text',
  'time-field': 'text',
  'sequence-field': 'text',
  'publish-url': 'text',
  'publish-command': 'text',
  'publish-rate': 'text',
  'publish-body': 'text',
  'max-worker-busy': 'text',
  'max-worker-delay': 'text',
  'max-p50': 'text',
  'max-p90': 'text',
  'max-p99': 'text',
  'max-p999': 'text',
  'max-lost': 'text',
  'max-duplicates': 'text',
  'max-out-of-order': 'text',
  'max-gaps': 'text',
  'max-errors': 'text',
  'max-silent': 'text',
  'min-streams': 'text',
  header: 'list',
  'publish-header': 'list',
  'own-sequence': 'switch',
  json: 'switch',
  insecure: 'switch',
  'i-own-this-server': 'switch',
  'raise-limits': 'switch',
} as const

type Flags = FlagValues<typeof FLAGS>

/** How probes are published. */
export interface ProbeOptions {
  readonly target:
    | { readonly url: URL; readonly headers: Readonly<Record<string, string>>; readonly body: string }
    | string
  /** Per second. */
  readonly rate: number
}

/** The options of a run. */
export interface LoadOptions {
  readonly url: URL
  readonly streams: number
  /** How many streams are opened per second. */
  readonly rate: number
  /** How long the streams are held after the intended opening of the last one, in ms. */
  readonly duration: number
  /** Undefined if the number depends on the streams and on the limit of descriptors. */
  readonly workers: number | undefined
  /** The maximum of workers of a run. */
  readonly maxWorkers: number
  readonly http: HttpVersion
  /** The maximum of streams that share a session of HTTP/2. Undefined: each stream has a separate session. */
  readonly streamsPerSession: number | undefined
  readonly headers: Readonly<Record<string, string>>
  /** The path of a scenario, which is a file with mixes. */
  readonly scenario: string | undefined
  /** The fraction of the streams that read slowly, between 0 and 1. */
  readonly slow: number
  /** In bytes per second. */
  readonly slowRate: number
  /** How many connections are cut per second. */
  readonly churn: number
  /** The reconnection time until the server sends one, in ms. */
  readonly retry: number
  readonly gapEvent: string
  readonly fields: DataFields
  readonly isSharedSequence: boolean
  readonly probe: ProbeOptions | undefined
  readonly isJson: boolean
  readonly isInsecure: boolean
  readonly isOwnServer: boolean
  readonly limits: Limits
  readonly workerLimits: LoadLimits
}

interface Bounds {
  readonly streams: number
  readonly duration: number
  readonly workers: number
  readonly hint: string
}

const HOUR = 3_600_000
/** Per second. At a higher rate, the process would spend its time on intervals that have already passed. */
const FASTEST = { rate: 100_000, churn: 10_000, 'publish-rate': 1000 } as const

// A typing error in a flag may otherwise occupy two machines for days.
const BOUNDS = { streams: 50_000, duration: HOUR, workers: 64, hint: ' Add --raise-limits for more.' }
const RAISED_BOUNDS = { streams: 500_000, duration: 24 * HOUR, workers: 512, hint: '' }

export const USAGE = 'npx spillway load <url>'

/** Reads the command line. Throws `UsageError`. */
export function readLoadOptions(args: readonly string[]): LoadOptions {
  const { flags, positionals } = readFlags(args, FLAGS)
  if (positionals.length > 1)
    throw new UsageError(`There may be only one URL, and ${quote(positionals[1] ?? '')} is another argument.`)
  const url = readTargetUrl(positionals[0], USAGE)
  const bounds = flags['raise-limits'] ? RAISED_BOUNDS : BOUNDS
  const probe = readProbe(flags, url)
  checkFields(flags, probe)
  const streams = readStreams(flags.streams ?? '100', bounds)
  checkCounts(flags, streams)
  return {
    url,
    streams,
    rate: readOpeningRate(flags.rate ?? '500/s', streams, bounds),
    duration: readHold(flags.duration ?? '30s', bounds),
    ...readWorkers(flags.workers, bounds.workers),
    ...readProtocol(flags),
    headers: readHeaders('--header', flags.header),
    scenario: flags.scenario,
    slow: readPercentage('--slow', flags.slow ?? '0%'),
    slowRate: readByteRate('--slow-rate', flags['slow-rate'] ?? '1kB/s'),
    churn: flags.churn === undefined ? 0 : readBoundedRate('churn', flags.churn),
    retry: readDuration('--retry', flags.retry ?? '3s'),
    gapEvent: flags['gap-event'] ?? 'gap',
    fields: { time: flags['time-field'], sequence: flags['sequence-field'] },
    isSharedSequence: !flags['own-sequence'],
    probe,
    isJson: flags.json,
    isInsecure: flags.insecure,
    isOwnServer: flags['i-own-this-server'],
    limits: readLimits(flags),
    workerLimits: {
      utilization: readPercentage('--max-worker-busy', flags['max-worker-busy'] ?? '90%'),
      delay: readDuration('--max-worker-delay', flags['max-worker-delay'] ?? '20ms'),
    },
  }
}

function readWorkers(text: string | undefined, max: number): Pick<LoadOptions, 'workers' | 'maxWorkers'> {
  const workers = text === undefined ? undefined : readInteger('--workers', text, { min: 1, max })
  return { workers, maxWorkers: max }
}

function readStreams(text: string, bounds: Bounds): number {
  const streams = readInteger('--streams', text, { min: 1 })
  if (streams > bounds.streams)
    throw new UsageError(`--streams may be at most ${bounds.streams}.${bounds.hint}`)
  return streams
}

function readHold(text: string, bounds: Bounds): number {
  const duration = readDuration('--duration', text)
  if (duration > bounds.duration)
    throw new UsageError(`--duration may be at most ${bounds.duration / HOUR}h.${bounds.hint}`)
  return duration
}

function readOpeningRate(text: string, streams: number, bounds: Bounds): number {
  const rate = readPositiveRate('rate', text)
  const opening = ((streams - 1) / rate) * 1000
  if (opening > bounds.duration)
    throw new UsageError(
      `--rate ${text} opens ${streams} streams within ${Math.ceil(opening / 60_000)} minutes. It may take at most ${bounds.duration / HOUR}h.${bounds.hint}`,
    )
  return rate
}

function readProtocol(flags: Flags): Pick<LoadOptions, 'http' | 'streamsPerSession'> {
  const http = readChoice('--http', flags.http ?? 'auto', HTTP_VERSIONS)
  const text = flags['streams-per-session']
  if (text === undefined) return { http, streamsPerSession: undefined }
  if (http === '1.1') throw new UsageError('--streams-per-session needs HTTP/2, and --http is 1.1.')
  return { http, streamsPerSession: readInteger('--streams-per-session', text, { min: 1 }) }
}

function readProbe(flags: Flags, url: URL): ProbeOptions | undefined {
  const address = flags['publish-url']
  const command = flags['publish-command']
  const isUsed = address !== undefined || command !== undefined
  if (address !== undefined && command !== undefined)
    throw new UsageError('Only one of --publish-url and --publish-command may be given.')
  if (flags['publish-rate'] !== undefined && !isUsed)
    throw new UsageError('--publish-rate needs --publish-url or --publish-command.')
  for (const name of ['publish-body', 'publish-header'] as const) {
    if (flags[name]?.length && address === undefined) throw new UsageError(`--${name} needs --publish-url.`)
  }
  if (!isUsed) return undefined
  const rate = readPositiveRate('publish-rate', flags['publish-rate'] ?? '1/s')
  if (command !== undefined) return { target: command, rate }
  const body = flags['publish-body'] ?? '{"probe":"{probe}"}'
  if (!body.includes('{probe}'))
    throw new UsageError('--publish-body must contain {probe}, which is replaced by a number and a time.')
  const absolute = address?.startsWith('/') ? new URL(address, url).href : address
  const headers = readHeaders('--publish-header', flags['publish-header'])
  return { target: { url: readTargetUrl(absolute, USAGE), headers, body }, rate }
}

/** Throws `UsageError` for flags about numbers and times in data, because the marks of probes contain both. */
function checkFields(flags: Flags, probe: ProbeOptions | undefined): void {
  for (const name of ['time-field', 'sequence-field'] as const) {
    if (flags[name] !== undefined && probe)
      throw new UsageError(`--${name} has no effect on probes, which have a number and a time.`)
  }
  if (flags['own-sequence'] && flags['sequence-field'] === undefined)
    throw new UsageError('--own-sequence needs --sequence-field.')
  for (const name of ['max-lost', 'max-duplicates', 'max-out-of-order'] as const) {
    if (flags[name] !== undefined && flags['sequence-field'] === undefined && !probe)
      throw new UsageError(
        `--${name} needs numbers, from --sequence-field, --publish-url or --publish-command.`,
      )
  }
}

/** Throws `UsageError` for flags that no run could satisfy, or that would have no effect. */
function checkCounts(flags: Flags, streams: number): void {
  const least = flags['min-streams']
  if (least !== undefined && readInteger('--min-streams', least) > streams)
    throw new UsageError(`--min-streams ${least} is more than the ${streams} streams of --streams.`)
  if (flags['slow-rate'] !== undefined && flags.slow === undefined && flags.scenario === undefined)
    throw new UsageError('--slow-rate needs --slow or --scenario.')
}

function readLimits(flags: Flags): Limits {
  const limits: Limits = {}
  for (const name of Object.keys(THRESHOLDS) as ThresholdName[]) {
    const text = flags[name]
    if (text === undefined) continue
    limits[name] =
      THRESHOLDS[name].unit === 'ms' ? readDuration(`--${name}`, text) : readInteger(`--${name}`, text)
  }
  return limits
}

function readPositiveRate(name: keyof typeof FASTEST, text: string): number {
  const rate = readBoundedRate(name, text)
  if (rate === 0) throw new UsageError(`--${name} ${quote(text)} is too small.`)
  return rate
}

function readBoundedRate(name: keyof typeof FASTEST, text: string): number {
  const rate = readRate(`--${name}`, text)
  if (rate > FASTEST[name])
    throw new UsageError(`--${name} ${quote(text)} is too large. The largest rate is ${FASTEST[name]}/s.`)
  return rate
}

/** Reads a rate such as `500B/s`, `1kB/s` or `2MB/s`, and returns it in bytes per second. */
function readByteRate(flag: string, text: string): number {
  const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)(B|kB|MB)\/s$/i.exec(text) ?? []
  const rate = Number(digits) * ({ b: 1, kb: 1000, mb: 1_000_000 }[unit.toLowerCase()] ?? 0)
  if (!(rate > 0)) throw new UsageError(`${flag} ${quote(text)} is not a rate such as 500B/s or 1kB/s.`)
  return rate
}
