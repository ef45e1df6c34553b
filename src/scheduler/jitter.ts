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

/** Returns a random time from `ms` to twice `ms`, so that clients do not reconnect together. */
export function jitter(ms: number): number {
  return Math.round(ms * (1 + Math.random()))
}
