import { between, MAX_TIME } from '../check-options.ts'
import { jitter } from '../scheduler/jitter.ts'
import type { SseStream } from '../stream/stream.ts'

/** Times are milliseconds. */
export interface ShutdownOptions {
  /** How long clients have to read their queued events, in ms. Default 5 000. */
  grace?: number | undefined
  /** When clients reconnect: each at a random time between this and twice this, in ms. Default 2 000. */
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
  const timer = setTimeout(() => stream.destroy(), grace)
  await closed
  clearTimeout(timer)
}
