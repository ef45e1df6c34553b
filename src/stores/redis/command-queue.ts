import { OrderedMap } from '../../ordered-map.ts'
import { Deadline } from '../../scheduler/deadline.ts'
import { timeUntil } from '../broker/deadline.ts'
import { closedError, commandError, rejectedError, timeoutError } from '../broker/errors.ts'
import type { Pipelining } from './connection.ts'
import { isRejection, wasNotExecuted } from './errors.ts'

interface Job {
  readonly number: number
  readonly isRepeatable: boolean
  readonly work: () => Promise<unknown>
  readonly resolve: (result: never) => void
  readonly reject: (error: Error) => void
  deadline?: Deadline
  isSettled: boolean
}

// The delay before a retry, in ms. The connection may report its loss only a moment after the failure of a command.
const RETRY_DELAY = 10

/**
 * Sends commands in the order of `send`, without waiting for responses. A failed command is retried before all later
 * ones. After its failure, one command is in flight at a time, until one of them is done.
 */
export class CommandQueue {
  readonly #isReady: () => boolean
  readonly #pipelining: () => Pipelining
  // The commands that are not in flight.
  readonly #waiting = new OrderedMap<Job, true>()
  #count = 0
  #inFlight = 0
  // Whether the commands in flight are repeatable. Only used if the pipelining is `alike`.
  #isRepeatable = false
  #isSerial = false
  #isClosed = false

  constructor(isReady: () => boolean, pipelining: () => Pipelining = () => 'all') {
    this.#isReady = isReady
    this.#pipelining = pipelining
  }

  /**
   * Sends a command. Retries it if it was certainly not executed, or if `isRepeatable`. Rejects with `SseError`
   * `ERR_SSE_STORE` if the server rejects it, if it may have been executed, and at the deadline.
   */
  send<T>(deadline: number, isRepeatable: boolean, work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const job: Job = { number: ++this.#count, isRepeatable, work, resolve, reject, isSettled: false }
      job.deadline = new Deadline(timeUntil(deadline), () => this.#settle(job, () => reject(timeoutError())))
      this.#enqueue(job)
      this.drain()
    })
  }

  /** Sends the waiting commands that may be in flight now. */
  drain(): void {
    if (this.#isSerial && this.#inFlight === 0) this.#sort()
    while (this.#canSend) {
      const job = this.#waiting.oldest
      if (!job || !this.#canFollow(job)) return
      this.#waiting.delete(job)
      void this.#send(job)
    }
  }

  /** Rejects the waiting commands. The connection rejects those in flight. */
  close(): void {
    this.#isClosed = true
    for (const job of this.#waiting.keys()) this.#settle(job, () => job.reject(closedError()))
  }

  get #canSend(): boolean {
    return this.#isReady() && !this.#isClosed && !(this.#isSerial && this.#inFlight > 0)
  }

  /** Whether a command may be in flight together with the present ones. */
  #canFollow({ isRepeatable }: Job): boolean {
    const pipelining = this.#inFlight === 0 ? 'all' : this.#pipelining()
    return pipelining === 'all' || (pipelining === 'alike' && isRepeatable === this.#isRepeatable)
  }

  // Restores the order, because a requeued command is behind later ones.
  #sort(): void {
    const jobs = [...this.#waiting.keys()].sort((a, b) => a.number - b.number)
    this.#waiting.clear()
    for (const job of jobs) this.#waiting.set(job, true)
  }

  async #send(job: Job): Promise<void> {
    const isAlone = this.#isSerial
    this.#inFlight += 1
    this.#isRepeatable = job.isRepeatable
    const isDone = await this.#try(job)
    this.#inFlight -= 1
    if (!isDone) {
      this.#isSerial = true
      this.#enqueue(job)
    } else if (isAlone) this.#isSerial = false
    if (!this.#isSerial) this.drain()
    else if (this.#inFlight === 0) setTimeout(() => this.drain(), RETRY_DELAY)
  }

  /** Resolves with false if the command must be retried. */
  async #try(job: Job): Promise<boolean> {
    try {
      const result = await job.work()
      this.#settle(job, () => job.resolve(result as never))
    } catch (cause) {
      const error = cause as Error
      const mayRetry = wasNotExecuted(error) || (job.isRepeatable && !isRejection(error))
      if (mayRetry && !job.isSettled && !this.#isClosed) return false
      this.#settle(job, () => job.reject(isRejection(error) ? rejectedError(error) : commandError(error)))
    }
    return true
  }

  #enqueue(job: Job): void {
    this.#waiting.set(job, true)
    // A failed command may be enqueued again after the close.
    if (this.#isClosed) this.close()
  }

  #settle(job: Job, settle: () => void): void {
    if (job.isSettled) return
    job.isSettled = true
    job.deadline?.cancel()
    this.#waiting.delete(job)
    settle()
  }
}
