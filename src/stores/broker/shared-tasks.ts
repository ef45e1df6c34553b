import { OrderedMap } from '../../ordered-map.ts'
import { awaitShared } from '../../scheduler/await-shared.ts'

interface Task<T> {
  readonly result: Promise<T>
  readonly controller: AbortController
  waiting: number
}

// The maximum of concurrent tasks.
const MAX_RUNNING = 8

/** Runs a task once for all its clients, few tasks at a time, and aborts it when the last client aborts. */
export class SharedTasks<T> {
  readonly #tasks = new Map<string, Task<T>>()
  // The tasks that wait for another one to end. Aborted tasks are removed.
  readonly #queue = new OrderedMap<() => void, true>()
  #running = 0

  get running(): number {
    return this.#running
  }

  get waiting(): number {
    return [...this.#tasks.values()].reduce((sum, { waiting }) => sum + waiting, 0)
  }

  /** Resolves with the result of the task with a key. Rejects with the reason of the signal when it is aborted. */
  run(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    const task = this.#tasks.get(key) ?? this.#add(key, work)
    task.waiting += 1
    const result = awaitShared(task.result, signal)
    const onAbort = () => {
      task.waiting -= 1
      if (task.waiting > 0) return
      if (this.#tasks.get(key) === task) this.#tasks.delete(key)
      task.controller.abort()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    const onSettled = () => signal.removeEventListener('abort', onAbort)
    result.then(onSettled, onSettled)
    return result
  }

  /** Aborts all tasks. */
  close(): void {
    for (const { controller } of this.#tasks.values()) controller.abort()
  }

  #add(key: string, work: (signal: AbortSignal) => Promise<T>): Task<T> {
    const controller = new AbortController()
    const result = this.#start(controller.signal, work)
    const task: Task<T> = { result, controller, waiting: 0 }
    this.#tasks.set(key, task)
    const remove = () => {
      if (this.#tasks.get(key) === task) this.#tasks.delete(key)
    }
    result.then(remove, remove)
    return task
  }

  async #start(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#running >= MAX_RUNNING) await this.#awaitEnd(signal)
    else this.#running += 1
    try {
      signal.throwIfAborted()
      return await work(signal)
    } finally {
      this.#end()
    }
  }

  #awaitEnd(signal: AbortSignal): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#queue.set(resolve, true)
      signal.addEventListener('abort', () => {
        if (this.#queue.delete(resolve)) reject(signal.reason)
      })
    })
  }

  // The next task starts in place of this one.
  #end(): void {
    const next = this.#queue.shift()
    if (next) next()
    else this.#running -= 1
  }
}
