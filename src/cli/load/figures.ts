import { DurationHistogram, type Durations } from './durations.ts'
import type { WorkerReport } from './plan.ts'
import { byMetric, type Counts, METRICS, type Metric, sumCounts } from './tally.ts'
import type { WorkerLoad } from './worker-load.ts'

/** The sums of the reports of all workers, in the parent process. */
export class Figures {
  readonly #mixCount: number
  readonly #reports: Array<WorkerReport | undefined>
  readonly #mixes: ReadonlyArray<Record<Metric, DurationHistogram>>
  readonly #all = histograms()

  constructor(workers: number, mixCount: number) {
    this.#mixCount = mixCount
    this.#reports = Array.from({ length: workers }, () => undefined)
    this.#mixes = Array.from({ length: mixCount }, histograms)
  }

  /** Adds a report. Its counts replace the earlier ones of the same worker, and its samples are added. */
  add(worker: number, report: WorkerReport): void {
    this.#reports[worker] = report
    for (const [mix, { samples }] of report.mixes.entries()) {
      for (const metric of METRICS) {
        const values = samples[metric]
        if (!values) continue
        this.#all[metric].addAll(values)
        // With one mix, the figures are the same.
        if (this.#mixCount > 1) this.#mixes[mix]?.[metric].addAll(values)
      }
    }
  }

  /** Returns the counts of a mix, or of all. */
  counts(mix?: number): Counts {
    return sumCounts(this.#mixReports(mix).map(({ counts }) => counts))
  }

  /** Returns durations of a mix, or of all. Undefined if there are none. */
  durations(metric: Metric, mix?: number): Durations | undefined {
    const histogram = mix === undefined || this.#mixCount === 1 ? this.#all : this.#mixes[mix]
    return histogram?.[metric].read()
  }

  /** The longest time without a byte on an open connection, in ms. */
  get longestSilence(): number {
    return Math.max(0, ...this.#mixReports().map(({ longestSilence }) => longestSilence))
  }

  /** The highest number that was received in each mix. */
  get highest(): number[] {
    return Array.from({ length: this.#mixCount }, (_, mix) =>
      Math.max(-1, ...this.#mixReports(mix).map(({ highest }) => highest)),
    )
  }

  /** The load of each worker that has reported. */
  get loads(): WorkerLoad[] {
    return this.#reports.flatMap((report) => (report ? [report.load] : []))
  }

  #mixReports(mix?: number): Array<WorkerReport['mixes'][number]> {
    const reports = this.#reports.flatMap((report) => (report ? [report] : []))
    return reports.flatMap(({ mixes }) => mixes.filter((_, index) => mix === undefined || index === mix))
  }
}

function histograms(): Record<Metric, DurationHistogram> {
  return byMetric(() => new DurationHistogram())
}
