import { timeoutError } from '../broker/deadline.ts'
import { closedError, commandError, isRejection, wasNotExecuted } from './errors.ts'

interface Job {
  readonly number: number
  readonly isRepeatable: boolean
  readonly work: () => Promise<unknown>
  readonly resolve: (result: never) => void
  readonly reject: (error: Error) => void
  timer?: ReturnType<typeof setTimeout>
  isSettled: boolean
}

// What lies before a command is sent again, in ms: the connection may say in the next turn that it is lost.
const RETRY_DELAY = 10

/**
 * Sends commands in the order in which they came, without waiting for answers. One that must be sent again goes before
 * all that came later: from its failure on, one command is on its way at a time until one of them is done.
 */
export class CommandQueue {
  readonly #isReady: () => boolean
  // What is not on its way, by number.
  #waiting = new Map<number, Job>()
  #count = 0
  #inFlight = 0
  #isSerial = false
  #isClosed = false

  constructor(isReady: () => boolean) {
    this.#isReady = isReady
  }

  /**
   * Sends something, and again when it was surely not done, or when doing it twice is doing it once. Rejects with
   * `SseError` `ERR_SSE_STORE` when the server refuses it, when it is not known whether it was done, and at the deadline.
   */
  send<T>(deadline: number, isRepeatable: boolean, work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const job: Job = { number: ++this.#count, isRepeatable, work, resolve, reject, isSettled: false }
      job.timer = setTimeout(
        () => this.#settle(job, () => reject(timeoutError())),
        Math.max(0, deadline - Date.now()),
      )
      this.#waiting.set(job.number, job)
      if (this.#isClosed) this.close()
      this.drain()
    })
  }

  /** Sends what waits, as far as it may. */
  drain(): void {
    if (this.#isSerial && this.#inFlight === 0) this.#sort()
    while (this.#canSend) {
      const [job] = this.#waiting.values()
      if (!job) return
      this.#waiting.delete(job.number)
      void this.#send(job)
    }
  }

  /** Rejects what waits. What is on its way is rejected by its connection. */
  close(): void {
    this.#isClosed = true
    for (const job of this.#waiting.values()) this.#settle(job, () => job.reject(closedError()))
  }

  get #canSend(): boolean {
    return this.#isReady() && !this.#isClosed && !(this.#isSerial && this.#inFlight > 0)
  }

  // What comes back is behind what came later.
  #sort(): void {
    this.#waiting = new Map([...this.#waiting].sort(([a], [b]) => a - b))
  }

  async #send(job: Job): Promise<void> {
    const isAlone = this.#isSerial
    this.#inFlight += 1
    const isDone = await this.#try(job)
    this.#inFlight -= 1
    if (!isDone) this.#requeue(job)
    else if (isAlone) this.#isSerial = false
    if (!this.#isSerial) this.drain()
    else if (this.#inFlight === 0) setTimeout(() => this.drain(), RETRY_DELAY)
  }

  /** Resolves with whether it is over. */
  async #try(job: Job): Promise<boolean> {
    try {
      const result = await job.work()
      this.#settle(job, () => job.resolve(result as never))
    } catch (cause) {
      const error = cause as Error
      const isAgain = wasNotExecuted(error) || (job.isRepeatable && !isRejection(error))
      if (isAgain && !job.isSettled && !this.#isClosed) return false
      this.#settle(job, () => job.reject(commandError(error)))
    }
    return true
  }

  #requeue(job: Job): void {
    this.#isSerial = true
    this.#waiting.set(job.number, job)
  }

  #settle(job: Job, settle: () => void): void {
    if (job.isSettled) return
    job.isSettled = true
    clearTimeout(job.timer)
    this.#waiting.delete(job.number)
    settle()
  }
}
