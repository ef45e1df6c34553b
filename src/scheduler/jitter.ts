import { MAX_TIME } from '../check-options.ts'

/** A deadline that is never reached. */
export const NEVER = Number.POSITIVE_INFINITY

/**
 * Returns the time of the next heartbeat of a stream that last wrote at `lastWrite`: half a period to one period later.
 * Each stream has its own `phase`, so that streams which wrote at the same instant send heartbeats at different times.
 */
export function nextHeartbeat(lastWrite: number, period: number, phase: number): number {
  if (period === 0) return NEVER
  const sincePhase = (lastWrite + period - phase) % (period / 2)
  return lastWrite + period - sincePhase
}

/** Returns the end of a stream's maximum duration, up to a tenth earlier, so that streams do not expire together. */
export function expiresAt(openedAt: number, maxDuration: number): number {
  return maxDuration === 0 ? NEVER : openedAt + maxDuration * (1 - Math.random() / 10)
}

/**
 * Returns a time from `ms` to twice `ms`, so that clients do not reconnect together. `share` is from 0 to 1, and random
 * by default. The result is at most 2^31 - 1, because the timer of a client in JavaScript ends at once for a longer
 * time.
 */
export function jitter(ms: number, share = Math.random()): number {
  return Math.min(Math.round(ms * (1 + share)), MAX_TIME)
}
