import { between, type Check, isCount, MAX_COUNT, MAX_TIME, type SettingsOf } from '../../check-options.ts'
import { SseError } from '../../errors.ts'

/** The options of every store that keeps its log in a broker. Times are in ms. */
export interface BrokerStoreOptions {
  /** How many events the broker keeps. Default 100 000. */
  maxEvents?: number | undefined
  /** How long the broker keeps an event. Default: as long as `maxEvents` allows. */
  maxAge?: number | undefined
  /** How long a repetition of an idempotency key is recognized. */
  idempotencyWindow?: number | undefined
  /**
   * How many of the newest events this process caches, to replay them without a request to the broker. Default 10 000.
   */
  recentEvents?: number | undefined
  /** Approximate size of this cache in bytes of memory. Default 16 MiB. */
  recentBytes?: number | undefined
  /**
   * How many bytes of memory this process uses for older events that it reads from the broker, in flight and kept for a
   * short time. All replayed clients share it. Default 64 MiB.
   */
  replayBytes?: number | undefined
  /**
   * How many events one replay reads from the broker, of all channels unless the broker can read a channel separately.
   * A client that is further behind gets a gap. Default 100 000.
   */
  maxReplayedEvents?: number | undefined
  /** The same in bytes, as the events are stored. Default 64 MiB. */
  maxReplayedBytes?: number | undefined
  /** How long a publish waits for the broker. Default 5 000. */
  publishTimeout?: number | undefined
}

/** The options that a store uses itself, for any broker. Without `maxAge`, or with 0, events have any age. */
export type BrokerSettings = SettingsOf<Omit<BrokerStoreOptions, 'idempotencyWindow'>, 'maxEvents' | 'maxAge'>

/** Ten years. NATS counts nanoseconds in 64 bits. */
export const MAX_AGE = 10 * 365 * 86_400_000

// Room for two reads in flight.
const MIN_REPLAY_BYTES = 1024 * 1024

export const BROKER_DEFAULTS = {
  maxEvents: 100_000,
  recentEvents: 10_000,
  recentBytes: 16 * 1024 * 1024,
  replayBytes: 64 * 1024 * 1024,
  maxReplayedEvents: 100_000,
  maxReplayedBytes: 64 * 1024 * 1024,
  publishTimeout: 5_000,
}

export const BROKER_CHECKS: Record<keyof BrokerStoreOptions, Check> = {
  maxEvents: isCount,
  maxAge: between(1_000, MAX_AGE),
  idempotencyWindow: between(1_000, MAX_AGE),
  recentEvents: isCount,
  recentBytes: isCount,
  replayBytes: between(MIN_REPLAY_BYTES, MAX_COUNT),
  maxReplayedEvents: isCount,
  maxReplayedBytes: isCount,
  publishTimeout: between(1, MAX_TIME),
}

/** Throws `SseError` `ERR_SSE_OPTION` if a publish could be retried after its idempotency key has been forgotten. */
export function checkRetryTime(
  { publishTimeout, idempotencyWindow }: { publishTimeout: number; idempotencyWindow: number },
  maximum = 'idempotencyWindow',
): void {
  if (publishTimeout <= idempotencyWindow) return
  const message = `Option publishTimeout must be at most ${maximum}, because a later retry would append twice.`
  throw new SseError('ERR_SSE_OPTION', message)
}
