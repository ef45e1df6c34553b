import { OrderedMap } from '../../ordered-map.ts'

interface Request {
  readonly bytes: number
  readonly start: () => void
}

/**
 * A maximum of bytes that concurrent requests share. Requests start in their order. Otherwise, small ones could
 * overtake a large one permanently.
 */
export class ByteBudget {
  readonly #max: number
  #used = 0
  // Aborted requests are removed.
  readonly #waiting = new OrderedMap<Request, true>()

  constructor(max: number) {
    this.#max = max
  }

  /**
   * Resolves when a request may start. Its bytes MUST be released at its end. A request of more than the maximum starts
   * alone. Rejects with the reason of the signal if it is aborted before.
   */
  acquire(bytes: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason)
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.delete(request)
        reject(signal.reason)
        // The next request may be smaller.
        this.#startWaiting()
      }
      const start = () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }
      const request = { bytes, start }
      signal.addEventListener('abort', onAbort)
      this.#waiting.set(request, true)
      this.#startWaiting()
    })
  }

  /** Returns the bytes of a request that has started. */
  release(bytes: number): void {
    this.#used -= bytes
    this.#startWaiting()
  }

  // Counts the bytes here and not after the wait, because several requests may start before the first one continues.
  #startWaiting(): void {
    for (let next = this.#waiting.oldest; next && this.#hasRoomFor(next); next = this.#waiting.oldest) {
      this.#waiting.delete(next)
      this.#used += next.bytes
      next.start()
    }
  }

  #hasRoomFor({ bytes }: Request): boolean {
    return this.#used === 0 || this.#used + bytes <= this.#max
  }
}
