import type { MaybePromise } from '../event/source.ts'

/**
 * Counts open streams by a key, for example by user. Several processes MAY share the same counts. A key is any
 * non-empty string, and may come from a client.
 */
export interface StreamCounts {
  /**
   * Counts a stream, unless the total of all processes has reached `max`. Returns whether it was counted. MUST be
   * atomic across all processes. MUST reject with `SseError` `ERR_SSE_STORE` within a few seconds if the total cannot
   * be determined. The stream MUST NOT be counted then.
   */
  acquire(key: string, max: number): MaybePromise<boolean>
  /**
   * Counts a stream regardless of the maximum. Called for a stream that is admitted although `acquire` has rejected.
   */
  add(key: string): void
  /** Removes one stream from the count of a key. A key without a count is ignored. */
  release(key: string): void
  /** MUST drop the counts of this process, and close the connections that were opened. */
  close(): MaybePromise<void>
}
