import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Terminal } from '../terminal.ts'
import { UsageError } from '../usage-error.ts'
import { checkAddresses } from './address.ts'
import { sharedNow } from './clock.ts'
import { descriptorLimit } from './descriptor-limit.ts'
import { DurationHistogram, type Durations } from './durations.ts'
import { Figures } from './figures.ts'
import { openPublishing, type Publishing } from './open-publishing.ts'
import type { LoadOptions } from './options.ts'
import type { Mix, Plan } from './plan.ts'
import { checkEndpoint } from './preflight.ts'
import { showProgress } from './progress.ts'
import { Publisher } from './publisher.ts'
import { refusalOf } from './refusal.ts'
import { type LoadReport, type OpenAtEnd, reportOf } from './report.ts'
import type { SampleBuffer } from './sample-buffer.ts'
import { readMixes } from './scenario.ts'
import { judge } from './thresholds.ts'
import { WorkerPool } from './worker-pool.ts'

/** The time between the start message to the workers and the first stream, so that all workers are ready, in ms. */
const LEAD = 100
/** How long the last events may take after the end, in ms. */
const SETTLE = 5000
const STREAMS_PER_WORKER = 2500
/** Descriptors that a process needs besides its streams. */
const OTHER_DESCRIPTORS = 50

/** Runs a load. Throws `UsageError` if it cannot begin. */
export async function runLoad(options: LoadOptions, terminal: Terminal): Promise<LoadReport> {
  const publishing = await openPublishing(options, terminal.signal)
  // The open connection would otherwise keep the process of a failed run alive.
  try {
    return await runWorkers(options, publishing, terminal)
  } finally {
    publishing?.close()
  }
}

async function runWorkers(
  options: LoadOptions,
  publishing: Publishing | undefined,
  terminal: Terminal,
): Promise<LoadReport> {
  const mixes = await resolveMixes(options, terminal.signal)
  const workers = workersOf(options, descriptorLimit(), connectionsOf(mixes, options))
  const figures = new Figures(workers, mixes.length)
  const pool = new WorkerPool(workers, (worker, report) => figures.add(worker, report))
  // The workers would otherwise outlive a failed command.
  try {
    await pool.ready()
    return await measure({ options, mixes, workers, publishing, figures, pool, terminal })
  } finally {
    pool.kill()
  }
}

/** Returns the default number of workers, with enough descriptors for the streams, and one core for the server. */
export function workersFor(
  streams: number,
  descriptors: number,
  connections = streams,
  cores = availableParallelism(),
): number {
  return Math.max(
    leastWorkers(connections, descriptors),
    Math.min(Math.ceil(streams / STREAMS_PER_WORKER), Math.max(1, cores - 1)),
  )
}

/** Returns the number of workers. Throws `UsageError` if they may not open enough descriptors. */
export function workersOf(
  { streams, workers, maxWorkers }: Pick<LoadOptions, 'streams' | 'workers' | 'maxWorkers'>,
  descriptors: number,
  connections = streams,
): number {
  const least = leastWorkers(connections, descriptors)
  if (least <= (workers ?? maxWorkers)) return workers ?? workersFor(streams, descriptors, connections)
  throw new UsageError(
    `${streams} streams need ${least} workers, because a process may open ${descriptors} files. Raise the limit with ulimit -n${least <= maxWorkers ? `, or use --workers ${least}` : ''}.`,
  )
}

function leastWorkers(connections: number, descriptors: number): number {
  return Math.ceil(connections / Math.max(1, descriptors - OTHER_DESCRIPTORS))
}

interface Run {
  readonly options: LoadOptions
  readonly mixes: readonly Mix[]
  readonly workers: number
  readonly publishing: Publishing | undefined
  readonly figures: Figures
  readonly pool: WorkerPool
  readonly terminal: Terminal
}

/** Returns how many connections all streams need. Streams of HTTP/2 may share connections. */
function connectionsOf(mixes: readonly Mix[], { streams }: LoadOptions): number {
  return mixes.reduce(
    (sum, { share, streamsPerConnection }) => sum + Math.ceil((share * streams) / streamsPerConnection),
    0,
  )
}

async function resolveMixes(options: LoadOptions, signal: AbortSignal): Promise<Mix[]> {
  const mixes: Mix[] = []
  const { isInsecure, http, streamsPerSession = 1 } = options
  for (const mix of await readMixes(options)) {
    const addresses = await checkAddresses(mix.url, options.isOwnServer)
    const reached = await checkEndpoint(mix, addresses, { isInsecure, http, streamsPerSession }, signal)
    mixes.push({ ...mix, ...reached, url: mix.url.href })
  }
  if (options.streamsPerSession !== undefined && mixes.every(({ protocol }) => protocol === 'HTTP/1.1'))
    throw new UsageError(
      `--streams-per-session needs HTTP/2, and ${options.url.host} uses HTTP/1.1. Add --http 2 if it supports both.`,
    )
  return mixes
}

async function measure(run: Run): Promise<LoadReport> {
  const { options, figures, pool, terminal } = run
  const prefix = `spillway-${randomBytes(4).toString('hex')}-`
  const startAt = sharedNow() + LEAD
  pool.start(planOf(run, prefix), startAt)
  const publisher = startPublisher(run, prefix, startAt)
  const stopProgress = showProgress(figures, options.streams, terminal, startAt)
  // The timers would otherwise keep the process of a failed run alive.
  try {
    const isInterrupted = await elapse(startAt + holdTime(options) - sharedNow(), run)
    await publisher?.stop()
    stopProgress()
    const openAtEnd = await settle(run, publisher)
    return conclude(run, { elapsed: Math.max(0, sharedNow() - startAt), isInterrupted, openAtEnd, publisher })
  } finally {
    publisher?.abort()
    stopProgress()
  }
}

/** Waits for the last events, and ends the workers. Resolves with the number of streams that were open before. */
async function settle({ options, mixes, figures, pool }: Run, publisher?: Publisher): Promise<OpenAtEnd> {
  await pool.settle()
  const counts = mixes.map((_, mix) => figures.counts(mix))
  const openAtEnd = {
    streams: counts.map(({ open }) => open),
    sessions: counts.reduce((sum, { openSessions }) => sum + openSessions, 0),
  }
  const highest = figures.highest.map((received) => (publisher ? publisher.last : received))
  await pool.finish({
    highest: options.isSharedSequence ? highest : highest.map(() => -1),
    wait: SETTLE,
  })
  return openAtEnd
}

/** Waits for the end of the run. Resolves with true if a signal ended it early. */
async function elapse(ms: number, { pool, terminal }: Run): Promise<boolean> {
  const controller = new AbortController()
  const signal = AbortSignal.any([terminal.signal, controller.signal])
  const time = sleep(ms, false, { signal }).catch(() => true)
  try {
    return await Promise.race([time, pool.failure])
  } finally {
    controller.abort()
  }
}

/** Returns the time from the first opening to the end, which is the time of all openings plus the duration. */
function holdTime({ streams, rate, duration }: LoadOptions): number {
  return ((streams - 1) / rate) * 1000 + duration
}

function planOf({ options, mixes, workers }: Run, prefix: string): Plan {
  const { streams, rate, churn, slowRate, retry, gapEvent, fields, isSharedSequence, isInsecure } = options
  return {
    ...{ mixes, streams, workers, rate, churn, slowRate, retry, gapEvent, isInsecure },
    fields: options.probe ? { probe: prefix } : fields,
    isSharedSequence,
  }
}

function startPublisher(
  { options: { probe }, publishing, pool }: Run,
  prefix: string,
  startAt: number,
): Publisher | undefined {
  if (!probe || !publishing) return undefined
  const { publish } = publishing
  return new Publisher(publish, { prefix, startAt, rate: probe.rate }, (number) => pool.unpublished(number))
}

interface End {
  readonly elapsed: number
  readonly isInterrupted: boolean
  readonly openAtEnd: OpenAtEnd
  readonly publisher: Publisher | undefined
}

function conclude({ options, figures, mixes }: Run, end: End): LoadReport {
  const { publisher, elapsed, isInterrupted, openAtEnd } = end
  const probes = publisher ? probesOf(publisher) : null
  const report = reportOf(figures, {
    ...{ isInterrupted, openAtEnd, mixes, elapsed, probes },
    url: options.url.href,
    startedAt: Date.now() - elapsed,
    refusal: refusalOf(figures.loads, options.workerLimits, publisher ? ownLatenessOf(publisher) : 0),
    planned: options.streams,
    plannedRate: options.rate,
  })
  return { ...report, thresholds: judge(report, options.limits) }
}

function probesOf({ published, unpublished, waiting, failure, lateness }: Publisher): LoadReport['probes'] {
  return {
    published,
    failed: unpublished.length,
    waiting,
    failure: failure ?? null,
    lateness: durationsOf(lateness) ?? null,
  }
}

/** Returns the 99th percentile of the time by which probes were late because of this process, in ms. */
function ownLatenessOf({ ownLateness }: Publisher): number {
  return durationsOf(ownLateness)?.p99 ?? 0
}

function durationsOf(samples: SampleBuffer): Durations | undefined {
  const histogram = new DurationHistogram()
  histogram.addAll(samples.flush() ?? new Uint32Array())
  return histogram.read()
}
