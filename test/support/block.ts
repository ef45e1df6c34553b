import { onTestFinished, vi } from 'vitest'

/** Blocks the event loop, as a long computation does. Nothing is read from sockets meanwhile. */
export function block(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until; );
}

/**
 * Moves faked time forward without a timer, so that the next timer runs late, as after work that blocks the event loop.
 */
export function blockFakeTimers(ms: number): void {
  const now = performance.now.bind(performance)
  const blocked = vi.spyOn(performance, 'now').mockImplementation(() => now() + ms)
  onTestFinished(() => blocked.mockRestore())
}
