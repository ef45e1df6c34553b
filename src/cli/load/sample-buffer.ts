/** The maximum of 32 bits, which is 71 minutes in µs. */
export const LONGEST_SAMPLE = 2 ** 32 - 1

/** Collects durations in whole µs until they are sent, as a typed array that is copied as one block. */
export class SampleBuffer {
  #samples = new Uint32Array(64)
  #length = 0

  /** Adds a duration in ms. A negative duration counts as zero. */
  add(ms: number): void {
    if (this.#length === this.#samples.length) this.#grow()
    // The minimum of a histogram is 1.
    this.#samples[this.#length] = Math.min(Math.max(Math.round(ms * 1000), 1), LONGEST_SAMPLE)
    this.#length += 1
  }

  /** Returns the samples since the last call. Undefined if there are none. */
  flush(): Uint32Array | undefined {
    if (this.#length === 0) return undefined
    const samples = this.#samples.slice(0, this.#length)
    this.#length = 0
    return samples
  }

  #grow(): void {
    const grown = new Uint32Array(this.#samples.length * 2)
    grown.set(this.#samples)
    this.#samples = grown
  }
}
