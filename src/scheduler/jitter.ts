/** A deadline that does not come. */
export const NEVER = Number.POSITIVE_INFINITY

/**
 * When a stream that last wrote at `lastWrite` is due a heartbeat: after one period of silence at most, and never
 * before half of it. Each stream keeps to its own `phase` within that half, so that thousands of streams that were
 * written to at the same instant do not beat at the same instant.
 */
export function nextHeartbeat(lastWrite: number, period: number, phase: number): number {
  if (period === 0) return NEVER
  const sincePhase = (lastWrite + period - phase) % (period / 2)
  return lastWrite + period - sincePhase
}

/** When a stream reaches its maximum age: up to a tenth earlier, so that clients that came together do not leave so. */
export function expiresAt(openedAt: number, maxAge: number): number {
  return maxAge === 0 ? NEVER : openedAt + maxAge * (1 - Math.random() / 10)
}

/** A time between once and twice `ms`: clients that were told it together do not come back together. */
export function jitter(ms: number): number {
  return Math.round(ms * (1 + Math.random()))
}
