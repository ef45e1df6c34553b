import { late } from '../broker/deadline.ts'
import { failed, gone, isRefusal, isUndone } from './errors.ts'

interface Job {
  readonly number: number
  readonly isRepeatable: boolean
  readonly work: () => Promise<unknown>
  readonly resolve: (result: never) => void
  readonly reject: (error: Error) => void
  timer?: ReturnType<typeof setTimeout>
  isOver: boolean
}

// What lies before a command is sent again, in ms: the connection may say in the next turn that it is lost.
const AGAIN = 10

/**
 * Sends commands in the order in which they came, without waiting for answers. One that must be sent again goes before
 * all that came later: from its failure on, one command is on its way at a time until one of them is done.
 */
export class Line {
  readonly #isReady: () => boolean
  // What is not on its way, by number.
  #waiting = new Map<number, Job>()
  #count = 0
  #onTheirWay = 0
  #isHeld = false
  #isClosed = false

  constructor(isReady: () => boolean) {
    this.#isReady = isReady
  }

  /**
   * Sends something, and again when it was surely not done, or when doing it twice is doing it once. Rejects with
   * `SseError` `ERR_SSE_LOG` when the server refuses it, when it is not known whether it was done, and at the deadline.
   */
  send<T>(deadline: number, isRepeatable: boolean, work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const job: Job = { number: ++this.#count, isRepeatable, work, resolve, reject, isOver: false }
      job.timer = setTimeout(() => this.#end(job, () => reject(late())), Math.max(0, deadline - Date.now()))
      this.#waiting.set(job.number, job)
      if (this.#isClosed) this.close()
      this.go()
    })
  }

  /** Sends what waits, as far as it may. */
  go(): void {
    if (this.#isHeld && this.#onTheirWay === 0) this.#sort()
    while (this.#mayGo) {
      const [job] = this.#waiting.values()
      if (!job) return
      this.#waiting.delete(job.number)
      void this.#send(job)
    }
  }

  /** Rejects what waits. What is on its way is rejected by its connection. */
  close(): void {
    this.#isClosed = true
    for (const job of this.#waiting.values()) this.#end(job, () => job.reject(gone()))
  }

  get #mayGo(): boolean {
    return this.#isReady() && !this.#isClosed && !(this.#isHeld && this.#onTheirWay > 0)
  }

  // What comes back is behind what came later.
  #sort(): void {
    this.#waiting = new Map([...this.#waiting].sort(([a], [b]) => a - b))
  }

  async #send(job: Job): Promise<void> {
    const isAlone = this.#isHeld
    this.#onTheirWay += 1
    const isDone = await this.#try(job)
    this.#onTheirWay -= 1
    if (!isDone) this.#takeBack(job)
    else if (isAlone) this.#isHeld = false
    if (!this.#isHeld) this.go()
    else if (this.#onTheirWay === 0) setTimeout(() => this.go(), AGAIN)
  }

  /** Resolves with whether it is over. */
  async #try(job: Job): Promise<boolean> {
    try {
      const result = await job.work()
      this.#end(job, () => job.resolve(result as never))
    } catch (cause) {
      const error = cause as Error
      const isAgain = isUndone(error) || (job.isRepeatable && !isRefusal(error))
      if (isAgain && !job.isOver && !this.#isClosed) return false
      this.#end(job, () => job.reject(failed(error)))
    }
    return true
  }

  #takeBack(job: Job): void {
    this.#isHeld = true
    this.#waiting.set(job.number, job)
  }

  #end(job: Job, settle: () => void): void {
    if (job.isOver) return
    job.isOver = true
    clearTimeout(job.timer)
    this.#waiting.delete(job.number)
    settle()
  }
}
