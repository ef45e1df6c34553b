/**
 * Resolves after a time in ms. Rejects with the reason of a signal once it is aborted. Does not use
 * `node:timers/promises`, because edge runtimes lack it. With `keepsAlive: false`, the process may exit during the
 * pause.
 */
export function pause(ms: number, signal: AbortSignal, { keepsAlive = true } = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    }, ms)
    if (!keepsAlive) timer.unref?.()
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}
