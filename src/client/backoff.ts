/**
 * Returns a random delay in ms up to `retry`, doubled for each earlier failure, at most 30 s. Full jitter, so that
 * clients that were disconnected together do not connect together. A `retry` of 0 counts as 100, so that failures never
 * form a busy loop.
 */
export function backoff(retry: number, failures: number): number {
  return Math.random() * Math.min(30_000, Math.max(retry, 100) * 2 ** failures)
}

/** Returns the delay in ms until the next probe of the stream: 30 s, doubled up to 10 min, with jitter. */
export function probeDelay(probes: number): number {
  return Math.min(600_000, 30_000 * 2 ** probes) * (0.75 + Math.random() / 2)
}

/** Returns a `Retry-After` in ms, which is a number of seconds or a date: at most 10 minutes, 0 if it is unreadable. */
export function retryAfterOf(value: string | null): number {
  const ms = 1000 * Number(value) || Date.parse(value as string) - Date.now()
  return ms > 0 ? Math.min(ms, 600_000) : 0
}

/**
 * Calls a function after a time in ms, at most an hour. In two steps, because timers run before the data that arrived
 * while the page was blocked. The returned function and the signal prevent the call.
 */
export function setDeadline(ms: number, onReached: () => void, signal: AbortSignal): () => void {
  let timer = setTimeout(() => {
    timer = setTimeout(onReached, Math.min(ms, 100))
  }, Math.min(ms, 3_600_000) - 100)
  const clear = () => clearTimeout(timer)
  signal.addEventListener('abort', clear)
  if (signal.aborted) clear()
  return clear
}
