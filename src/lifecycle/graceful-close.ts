import { between, MAX_TIME } from '../check-options.ts'
import { Deadline } from '../scheduler/deadline.ts'
import { jitter } from '../scheduler/jitter.ts'
import type { SseStream } from '../stream/stream.ts'

/** How to close open streams. Times are in ms. */
export interface ShutdownOptions {
  /** Time in ms to send the queued events. Streams that are still open afterwards are destroyed. Default 5 000. */
  grace?: number | undefined
  /** Reconnection time of the clients in ms. Each gets a random time from this to twice this. Default 2 000. */
  retry?: number | undefined
}

export const SHUTDOWN_CHECKS = { grace: between(0, MAX_TIME), retry: between(0, MAX_TIME) }

export const SHUTDOWN_DEFAULTS = { grace: 5_000, retry: 2_000 }

export type ShutdownSettings = typeof SHUTDOWN_DEFAULTS

/**
 * Sends the queued events and a jittered reconnection time, and closes the stream. A stream that is still open after the
 * grace period is destroyed. Resolves when the stream is closed.
 */
export async function closeGracefully(stream: SseStream, { grace, retry }: ShutdownSettings): Promise<void> {
  const closed = new Promise<void>((resolve) => stream._addCloseTarget({ _streamClosed: () => resolve() }))
  stream.close({ retry: retry > 0 ? jitter(retry) : undefined })
  const deadline = new Deadline(grace, () => stream.destroy())
  await closed
  deadline.cancel()
}
