import type { Connection } from './connection.ts'

/**
 * Returns the bytes that count as queued beside the queue. `lastSize` is the size of the frame that was written last.
 */
export function countedBytes({ output, waitingBytes, settings }: Connection, lastSize: number): number {
  const { unwrittenBytes, isFull } = output
  const { maxBufferedBytes } = settings
  // A frame larger than the bound counts as at most half of the bound. Otherwise, the next event would close the
  // stream, and the client would reconnect to the same frame.
  const bytes = lastSize > maxBufferedBytes ? Math.min(unwrittenBytes, maxBufferedBytes / 2) : unwrittenBytes
  // While the kernel accepts all bytes, none accumulate. Otherwise, at most half of the remaining bound counts, as for
  // a large frame.
  return isFull ? bytes + Math.min(waitingBytes, (maxBufferedBytes - bytes) / 2) : bytes
}
