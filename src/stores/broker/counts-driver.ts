/** The count of this process for a key, as it is to be stored. */
export interface CountUpdate {
  /** Letters, digits, `-`, `_` and `.`, at most 64 of them. */
  readonly key: string
  /** How many streams of this process are counted at least. */
  readonly held: number
  /** How many streams of this process are counted if `max` allows it. */
  readonly wanted: number
  /** The maximum of all processes together. Counts for more than `held` only. */
  readonly max: number
}

/** What a broker does for `SharedCounts`. It keeps the counts of each process, as long as the process is alive. */
export interface CountsDriver {
  /** How long a count is kept that is not updated, in ms. */
  readonly keep: number
  /**
   * Starts it. `onForgotten` is called when the broker may have lost counts of this process, or other processes may have
   * dropped them.
   */
  open(onForgotten: () => void): void
  /**
   * Stores counts and returns them: from `held` to `wanted`, as many as `max` allows. Each MUST be atomic across all
   * processes. Also renews the lease of the process, even without any update. MUST retry until the signal is aborted, and
   * then reject with its reason. A repetition MUST have no further effect.
   */
  update(updates: readonly CountUpdate[], signal: AbortSignal): Promise<readonly number[]>
  /** Ends the lease of the process, so that other processes drop its counts, and closes what was opened. */
  close(): Promise<void>
}
