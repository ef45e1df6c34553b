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
import type { LoadOptions } from './options.ts'
import type { Mix, Plan } from './plan.ts'
import { checkEndpoint, reachable } from './preflight.ts'
import { Progress } from './progress.ts'
import { type Publish, Publisher, publishByCommand, publishByRequest } from './publisher.ts'
import { refusalOf } from './refusal.ts'
import { type LoadReport, reportOf } from './report.ts'
import type { SampleBuffer } from './sample-buffer.ts'
import { readMixes } from './scenario.ts'
import { judge } from './thresholds.ts'
import { WorkerPool } from './worker-pool.ts'

/** Between the message to the workers and the first stream, so that all of them are ready, in ms. */
const LEAD = 100
/** The longest time that the last events may take after the end, in ms. */
const SETTLE = 5000
const STREAMS_PER_WORKER = 2500
/** Descriptors that a process needs besides its streams. */
const OTHER_DESCRIPTORS = 50

/** Runs a load. Throws `UsageError` if it cannot begin. */
export async function runLoad(options: LoadOptions, terminal: Terminal): Promise<LoadReport> {
  const publish = await publishOf(options, terminal.signal)
  const mixes = await resolveMixes(options, terminal.signal)
  const workers = workersOf(options, descriptorLimit())
  const figures = new Figures(workers, mixes.length)
  const pool = new WorkerPool(workers, (worker, report) => figures.add(worker, report))
  // The workers of a command that fails must end too.
  try {
    await pool.ready()
    return await measure({ options, mixes, workers, publish, figures, pool, terminal })
  } finally {
    pool.kill()
  }
}

/** Returns the default number of workers: enough for the descriptors, and one core stays for the server. */
export function workersFor(streams: number, descriptors: number, cores = availableParallelism()): number {
  return Math.max(
    leastWorkers(streams, descriptors),
    Math.min(Math.ceil(streams / STREAMS_PER_WORKER), Math.max(1, cores - 1)),
  )
}

/** Returns the number of workers. Throws `UsageError` if they may not open enough descriptors. */
export function workersOf(
  { streams, workers, mostWorkers }: Pick<LoadOptions, 'streams' | 'workers' | 'mostWorkers'>,
  descriptors: number,
): number {
  const least = leastWorkers(streams, descriptors)
  if (least <= (workers ?? mostWorkers)) return workers ?? workersFor(streams, descriptors)
  throw new UsageError(
    `${streams} streams need ${least} workers, because a process may open ${descriptors} files. Raise the limit with ulimit -n${least <= mostWorkers ? `, or use --workers ${least}` : ''}.`,
  )
}

function leastWorkers(streams: number, descriptors: number): number {
  return Math.ceil(streams / Math.max(1, descriptors - OTHER_DESCRIPTORS))
}

interface Run {
  readonly options: LoadOptions
  readonly mixes: readonly Mix[]
  readonly workers: number
  readonly publish: Publish | undefined
  readonly figures: Figures
  readonly pool: WorkerPool
  readonly terminal: Terminal
}

async function resolveMixes(options: LoadOptions, signal: AbortSignal): Promise<Mix[]> {
  const mixes: Mix[] = []
  for (const mix of await readMixes(options)) {
    const addresses = await checkAddresses(mix.url, options.isOwnServer)
    const address = await checkEndpoint(mix, addresses, options.isInsecure, signal)
    mixes.push({ ...mix, url: mix.url.href, address })
  }
  return mixes
}

async function publishOf(
  { probe, isOwnServer, isInsecure }: LoadOptions,
  signal: AbortSignal,
): Promise<Publish | undefined> {
  if (probe === undefined) return undefined
  if (typeof probe.target === 'string') return publishByCommand(probe.target)
  const { url, headers, body } = probe.target
  const address = await reachable(await checkAddresses(url, isOwnServer), url, signal)
  return publishByRequest({ url: url.href, address, headers, isInsecure }, body)
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
    return conclude(run, { elapsed: Math.max(0, sharedNow() - startAt), isInterrupted, openAtEnd, publisher })
  } finally {
    publisher?.abandon()
    progress.stop()
  }
}

/** Waits for the last events, and ends the workers. Resolves with the open streams of each mix before. */
async function settle({ options, mixes, figures, pool }: Run, publisher?: Publisher): Promise<number[]> {
  await pool.settle()
  const openAtEnd = mixes.map((_, mix) => figures.counts(mix).open)
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
  { options: { probe }, publish, pool }: Run,
  prefix: string,
  startAt: number,
): Publisher | undefined {
  if (!probe || !publish) return undefined
  return new Publisher(publish, { prefix, startAt, rate: probe.rate }, (number) => pool.unpublished(number))
}

interface End {
  readonly elapsed: number
  readonly isInterrupted: boolean
  readonly openAtEnd: readonly number[]
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
