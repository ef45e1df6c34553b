import type { MaybePromise } from '../event/source.ts'

/**
 * Counts open streams by a key, for example by user. Several processes MAY share what is behind it. A key is any string that
 * is not empty, and may come from a client.
 */
export interface StreamCounts {
  /**
   * Counts a stream, unless the counts of all processes are `max` together. Returns whether it was counted. MUST be atomic
   * across all processes. MUST reject with `SseError` `ERR_SSE_STORE` within a few seconds if that cannot be found out, and
   * then not count the stream.
   */
  acquire(key: string, max: number): MaybePromise<boolean>
  /** Counts a stream whatever the maximum is. Called for one that is admitted although `acquire` was rejected. */
  add(key: string): void
  /** Counts one stream less. A key without a count is ignored. */
  release(key: string): void
  /** MUST drop the counts of this process, and close the connections that were opened. */
  close(): MaybePromise<void>
}
