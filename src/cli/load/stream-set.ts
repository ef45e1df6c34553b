import { EventClock, fromShared } from './clock.ts'
import { DataReader } from './data-reader.ts'
import { LoadStream, type StreamContext } from './load-stream.ts'
import { openTransport } from './open-transport.ts'
import { assign, type Mix, type Plan, type WorkerReport } from './plan.ts'
import { RandomSchedule, Schedule, Timetable } from './schedule.ts'
import { Tally } from './tally.ts'
import { LoadMonitor } from './worker-load.ts'

/** Without a limit, random picks would not end while hardly any stream is connected. */
const MAX_PICKS = 50

/** The streams of one worker. */
export class StreamSet {
  readonly clock: EventClock
  /** Numbers of probes that were not published, in ascending order. */
  readonly unpublished: number[] = []
  readonly #monitor = new LoadMonitor()
  readonly #contexts: readonly StreamContext[]
  /** The mix of each stream, in the order of the streams. */
  readonly #mixes: number[] = []
  readonly #streams: LoadStream[] = []
  readonly #timetables: readonly Timetable[]
  #opened = 0

  /** Opens the first stream at `startAt`, a time of `sharedNow`. `worker` is the index of the worker. */
  constructor(plan: Plan, worker: number, startAt: number) {
    const start = fromShared(startAt)
    this.clock = new EventClock(plan.fields.probe !== undefined)
    this.#contexts = plan.mixes.map((mix) => this.#contextOf(mix, plan, start))
    for (const [index, { mix, isSlow }] of assign(plan.mixes, plan.streams).entries()) {
      const context = this.#contexts[mix]
      if (index % plan.workers !== worker || !context) continue
      this.#streams.push(new LoadStream(index, isSlow, context))
      this.#mixes.push(mix)
    }
    const opening = new Schedule(start + (worker * 1000) / plan.rate, plan.rate / plan.workers)
    const now = () => performance.now()
    this.#timetables = [
      new Timetable(opening, now, (intended) => this.#openNext(intended)),
      ...(plan.churn > 0
        ? [new Timetable(new RandomSchedule(start, plan.churn / plan.workers), now, () => this.#cutOne())]
        : []),
    ]
    this.#monitor.start()
    for (const timetable of this.#timetables) timetable.start()
  }

  /** Opens and cuts no further streams. Lost connections still reconnect. */
  settle(): void {
    for (const timetable of this.#timetables) timetable.stop()
  }

  /** True if no open stream lacks a number up to the highest one of its mix. */
  hasReached(highest: readonly number[]): boolean {
    return this.#streams.every((stream, i) => stream.hasReached(highest[this.#mixes[i] ?? 0] ?? -1))
  }

  /** Counts the numbers that have not arrived. */
  finish(highest: readonly number[]): void {
    for (const [i, stream] of this.#streams.entries()) stream.settle(highest[this.#mixes[i] ?? 0] ?? -1)
  }

  report(): WorkerReport {
    return {
      mixes: this.#contexts.map(({ tally }) => ({
        counts: tally.counts,
        samples: tally.flush(),
        highest: tally.highest,
        longestSilence: tally.longestSilence,
      })),
      load: this.#monitor.report(),
    }
  }

  #contextOf(mix: Mix, plan: Plan, startedAt: number): StreamContext {
    const { gapEvent, isSharedSequence, retry, slowRate, isInsecure } = plan
    const { address, headers, protocol, streamsPerConnection } = mix
    const tally = new Tally()
    const endpoint = { url: new URL(mix.url), address, isInsecure }
    return {
      ...{
        gapEvent,
        isSharedSequence,
        retry,
        slowRate,
        startedAt,
        clock: this.clock,
        monitor: this.#monitor,
        unpublished: this.unpublished,
      },
      tally,
      reader: new DataReader(plan.fields),
      headers,
      transport: openTransport(protocol, endpoint, streamsPerConnection, tally.counts),
    }
  }

  #openNext(intended: number): boolean {
    this.#streams[this.#opened]?.open(intended)
    this.#opened += 1
    return this.#opened < this.#streams.length
  }

  #cutOne(): true {
    for (let i = 0; i < MAX_PICKS; i++) {
      const stream = this.#streams[Math.floor(Math.random() * this.#opened)]
      if (!stream?.isConnected) continue
      stream.cut()
      break
    }
    return true
  }
}
