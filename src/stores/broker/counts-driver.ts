/** The count of this process for a key, as it will be stored. */
export interface CountUpdate {
  /** Letters, digits, `-`, `_` and `.`, at most 64 of them. */
  readonly key: string
  /** The minimum of counted streams of this process. */
  readonly held: number
  /** The count of streams of this process if `max` allows it. */
  readonly wanted: number
  /** The maximum of all processes together. It applies only to counts above `held`. */
  readonly max: number
}

/** The broker of `SharedCounts`. It keeps the counts of each process as long as the process is alive. */
export interface CountsDriver {
  /** How long a count is kept without an update, in ms. */
  readonly keep: number
  /** The last failure of an update, which is the cause if it is not stored in time. */
  readonly failure?: unknown
  /**
   * Starts the driver. `onForgotten` is called when the broker may have lost counts of this process, or other processes
   * may have dropped them.
   */
  open(onForgotten: () => void): void
  /**
   * Stores a count for each update, from `held` to `wanted`, as `max` allows, and returns the counts. Returns an error
   * for a key that can never be counted, for example because another program uses it. Each update MUST be atomic across
   * all processes. Also renews the lease of the process, even without any update. MUST retry until the
   * signal is aborted, and then reject with its reason. A repetition MUST have no further effect.
   */
  update(updates: readonly CountUpdate[], signal: AbortSignal): Promise<ReadonlyArray<number | Error>>
  /** Ends the lease of the process, so that other processes drop its counts. Closes what the driver opened. */
  close(): Promise<void>
}
