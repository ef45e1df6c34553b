import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Terminal } from '../terminal.ts'
import { UsageError } from '../usage-error.ts'
import { checkAddresses } from './address.ts'
import { sharedNow } from './clock.ts'
import { descriptorLimit } from './descriptor-limit.ts'
import { DurationHistogram } from './durations.ts'
import { Figures } from './figures.ts'
import { openPublishing, type Publishing } from './open-publishing.ts'
import type { LoadOptions } from './options.ts'
import type { Mix, Plan } from './plan.ts'
import { checkEndpoint } from './preflight.ts'
import { Progress } from './progress.ts'
import { Publisher } from './publisher.ts'
import { refusalOf } from './refusal.ts'
import { type LoadReport, type OpenAtEnd, reportOf } from './report.ts'
import { readMixes } from './scenario.ts'
import { judge } from './thresholds.ts'
import { WorkerPool } from './worker-pool.ts'

/** Between the message to the workers and the first stream, so that all of them are ready, in ms. */
const LEAD = 100
/** The longest time that the last events may take after the end, in ms. */
const SETTLE = 5000
const STREAMS_PER_WORKER = 2500
/** Descriptors that a process needs besides its streams. */
const OTHER_DESCRIPTORS = 100

/** Runs a load. Throws `UsageError` if it cannot begin. */
export async function runLoad(options: LoadOptions, terminal: Terminal): Promise<LoadReport> {
  const publishing = await openPublishing(options, terminal.signal)
  // Its connection would keep the process of a failed run alive.
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
  const workers =
    options.workers ?? workersFor(options.streams, descriptorLimit(), connectionsOf(mixes, options))
  const figures = new Figures(workers, mixes.length)
  const pool = new WorkerPool(workers, (worker, report) => figures.add(worker, report))
  // The workers of a command that fails must end too.
  try {
    await pool.ready()
    return await measure({ options, mixes, workers, publishing, figures, pool, terminal })
  } finally {
    pool.kill()
  }
}

/** Returns the default number of workers: enough for the descriptors, and one core stays for the server. */
export function workersFor(
  streams: number,
  descriptors: number,
  connections = streams,
  cores = availableParallelism(),
): number {
  const needed = Math.ceil(connections / Math.max(1, descriptors - OTHER_DESCRIPTORS))
  return Math.max(needed, Math.min(Math.ceil(streams / STREAMS_PER_WORKER), Math.max(1, cores - 1)))
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

/** Returns how many connections the streams have together. Streams of HTTP/2 may share them. */
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
  const progress = new Progress(figures, options.streams, terminal, startAt)
  // Their timers would keep the process of a failed run alive.
  try {
    const isInterrupted = await elapse(startAt + holdTime(options) - sharedNow(), run)
    await publisher?.stop()
    progress.stop()
    const openAtEnd = await settle(run, publisher)
    return conclude(run, { elapsed: sharedNow() - startAt, isInterrupted, openAtEnd, publisher })
  } finally {
    publisher?.abandon()
    progress.stop()
  }
}

/** Waits for the last events, and ends the workers. Resolves with what was open before. */
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
    unpublished: publisher?.unpublished ?? [],
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

/** Returns the time from the first opening to the end: all openings, and then the duration. */
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
  { options: { probe }, publishing }: Run,
  prefix: string,
  startAt: number,
): Publisher | undefined {
  return probe && publishing && new Publisher(publishing.publish, prefix, startAt, probe.rate)
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
    refusal: refusalOf(figures.loads, options.workerLimits),
    planned: options.streams,
    plannedRate: options.rate,
  })
  return { ...report, thresholds: judge(report, options.limits) }
}

function probesOf({ published, unpublished, waiting, failure, lateness }: Publisher): LoadReport['probes'] {
  const histogram = new DurationHistogram()
  histogram.addAll(lateness.flush() ?? new Uint32Array())
  return {
    published,
    failed: unpublished.length,
    waiting,
    failure: failure ?? null,
    lateness: histogram.read() ?? null,
  }
}
