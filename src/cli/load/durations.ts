import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { LONGEST_SAMPLE } from './sample-buffer.ts'

/** Durations in ms. */
export interface Durations {
  readonly count: number
  readonly min: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

/** A histogram with a high dynamic range: each percentile is exact to 0.1 % of its value. */
export class DurationHistogram {
  readonly #histogram: RecordableHistogram = createHistogram({
    lowest: 1,
    highest: LONGEST_SAMPLE,
    figures: 3,
  })

  // The histogram itself returns only the bounds of the ranges that contain them.
  #min = LONGEST_SAMPLE
  #max = 0

  /** Adds durations in whole µs. */
  addAll(samples: Uint32Array): void {
    for (const sample of samples) {
      this.#histogram.record(sample)
      if (sample < this.#min) this.#min = sample
      if (sample > this.#max) this.#max = sample
    }
  }

  /** Returns the durations, or undefined if there are none. */
  read(): Durations | undefined {
    const { count, mean } = this.#histogram
    if (count === 0) return undefined
    // The histogram returns the upper bound of the range that contains a percentile.
    const percentile = (share: number) => toMs(Math.min(this.#histogram.percentile(share), this.#max))
    return {
      count,
      min: toMs(this.#min),
      mean: toMs(mean),
      p50: percentile(50),
      p90: percentile(90),
      p99: percentile(99),
      p999: percentile(99.9),
      max: toMs(this.#max),
    }
  }
}

function toMs(microseconds: number): number {
  return Math.round(microseconds) / 1000
}
