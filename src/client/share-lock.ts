/** The part of Web Locks that the client uses. */
export interface LockManager {
  request(
    name: string,
    options: { readonly signal: AbortSignal } | { readonly steal: true },
    callback: () => Promise<void>,
  ): Promise<void>
}

/** Is notified by a `Lock`. */
export interface LockOwner {
  onHeld(): void
  /** Called when another tab has stolen the lock. */
  onStolen(): void
}

/** A lock that one tab holds at a time. It passes to the next tab when its page ends. */
export class Lock {
  readonly #locks: LockManager
  readonly #name: string
  readonly #owner: LockOwner
  #controller!: AbortController

  constructor(locks: LockManager, name: string, owner: LockOwner) {
    this.#locks = locks
    this.#name = name
    this.#owner = owner
  }

  /** Holds the lock when no other tab does, or at once if `steal`. */
  request(steal?: true): void {
    const controller = new AbortController()
    const { signal } = controller
    this.#controller = controller
    const hold = () =>
      new Promise<void>((release) => {
        signal.onabort = () => release()
        if (signal.aborted) release()
        else this.#owner.onHeld()
      })
    this.#locks.request(this.#name, steal ? { steal } : { signal }, hold).catch(({ name }: Error) => {
      if (signal.aborted) return
      // Without access to locks, for example in a sandbox, the newest leader is the one that leads.
      if (name !== 'AbortError') return this.#owner.onHeld()
      this.#owner.onStolen()
      this.request()
    })
  }

  /** Releases the lock, or no longer requests it. */
  release(): void {
    this.#controller.abort()
  }
}
