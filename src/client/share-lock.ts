/** The part of Web Locks that the client uses. */
export interface LockManager {
  request(
    name: string,
    options: { readonly signal: AbortSignal } | { readonly steal: true },
    callback: () => Promise<void>,
  ): Promise<void>
}

/** Receives the notifications of a lock. */
export interface LockOwner {
  onHeld(): void
  /** Called when another tab has stolen the lock. */
  onStolen(): void
}

/**
 * Requests a lock that one tab holds at a time, and that passes to the next tab when its page ends. With `steal`, this
 * tab gets it immediately. Returns a controller whose `abort` releases the lock, or cancels the request.
 */
export function requestLock(
  locks: LockManager,
  name: string,
  { onHeld, onStolen }: LockOwner,
  steal?: true,
): AbortController {
  const controller = new AbortController()
  const { signal } = controller
  const hold = () =>
    new Promise<void>((release) => {
      signal.onabort = () => release()
      if (signal.aborted) release()
      else onHeld()
    })
  locks.request(name, steal ? { steal } : { signal }, hold).catch(({ name }: Error) => {
    // Without access to locks, for example in a sandbox, the newest leader wins.
    if (!signal.aborted) name === 'AbortError' ? onStolen() : onHeld()
  })
  return controller
}
