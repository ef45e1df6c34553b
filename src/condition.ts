/**
 * A condition variable. `until` waits for a condition, and `notify` makes every waiter evaluate its condition again.
 */
export class Condition {
  // Undefined while there is no waiter, because most conditions of streams have none.
  #resolves: Set<() => void> | undefined

  /** Rejects with the reason of a signal once it is aborted, and then holds nothing of the waiter. */
  async until(isReady: () => boolean, signal?: AbortSignal): Promise<void> {
    let resume = () => {}
    const onAbort = () => resume()
    signal?.addEventListener('abort', onAbort)
    while (!isReady() && !signal?.aborted) {
      await new Promise<void>((resolve) => {
        this.#resolves ??= new Set()
        this.#resolves.add(resolve)
        resume = resolve
      })
    }
    this.#resolves?.delete(resume)
    signal?.removeEventListener('abort', onAbort)
    signal?.throwIfAborted()
  }

  notify(): void {
    const resolves = this.#resolves
    this.#resolves = undefined
    for (const resolve of resolves ?? []) resolve()
  }
}
