import { checkOptions, isTime } from '../check-options.ts'
import { jitter } from '../scheduler/jitter.ts'
import { closeStream } from '../stream/close-stream.ts'
import type { SseStream } from '../stream/stream.ts'

/** How to close open streams. Times are in ms. */
export interface ShutdownOptions {
  /** Time in ms to send the queued events. Streams that are still open afterwards are destroyed. Default 5 000. */
  grace?: number | undefined
  /** Reconnection time of the clients in ms. Each gets a random time from this to twice this. Default 2 000. */
  retry?: number | undefined
  /**
   * Time in ms over which the streams are closed evenly, so that their clients do not reconnect together. `grace`
   * begins after it. Default 0.
   */
  spread?: number | undefined
}

const SHUTDOWN_CHECKS = {
  grace: isTime,
  retry: isTime,
  spread: isTime,
}

const DEFAULTS = { grace: 5_000, retry: 2_000, spread: 0 }

export type ShutdownSettings = typeof DEFAULTS

/** Returns checked options with all defaults. Throws `SseError` `ERR_SSE_OPTION`. */
export function shutdownSettings(options: ShutdownOptions): ShutdownSettings {
  return { ...DEFAULTS, ...checkOptions(options, SHUTDOWN_CHECKS) }
}

/**
 * Sends the queued events and a reconnection time, and closes the stream. The time is `retry` to twice `retry`, by
 * `share`, which is from 0 to 1 and random by default.
 */
export function closeForShutdown(stream: SseStream, retry: number, share?: number): void {
  if (stream._pollCache) stream._pollCache.isShutDown = true
  closeStream(stream, 'shutdown', retry > 0 ? jitter(retry, share) : undefined)
}
