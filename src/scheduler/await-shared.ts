interface Waiter<T> {
  resolve(value: T): void
  reject(error: unknown): void
}

const waitersOf = new WeakMap<Promise<unknown>, Set<Waiter<unknown>>>()

/**
 * Awaits a promise that many callers await. Rejects with the reason of a signal once it is aborted, and then the
 * promise holds nothing of the caller. A reaction cannot be removed from a promise, so that all callers share one.
 */
export function awaitShared<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason)
  const waiters = waitersOf.get(promise) ?? open(promise)
  return new Promise<unknown>((resolve, reject) => {
    const onAbort = () => {
      waiters.delete(waiter)
      reject(signal.reason)
    }
    const end = () => signal.removeEventListener('abort', onAbort)
    const waiter: Waiter<unknown> = {
      resolve: (value) => {
        end()
        resolve(value)
      },
      reject: (error) => {
        end()
        reject(error)
      },
    }
    waiters.add(waiter)
    signal.addEventListener('abort', onAbort, { once: true })
  }) as Promise<T>
}

function open(promise: Promise<unknown>): Set<Waiter<unknown>> {
  const waiters = new Set<Waiter<unknown>>()
  waitersOf.set(promise, waiters)
  const settle = (notify: (waiter: Waiter<unknown>) => void) => {
    // A later caller needs a reaction of its own.
    waitersOf.delete(promise)
    for (const waiter of waiters) notify(waiter)
  }
  promise.then(
    (value) => settle((waiter) => waiter.resolve(value)),
    (error) => settle((waiter) => waiter.reject(error)),
  )
  return waiters
}
