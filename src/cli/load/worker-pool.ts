import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { UsageError } from '../usage-error.ts'
import type { ParentMessage, Plan, WorkerMessage, WorkerReport } from './plan.ts'

type Reported = Exclude<WorkerMessage, { type: 'ready' }>

/** The worker processes of a run. */
export class WorkerPool {
  /** Rejects if a worker exits before its last report. */
  readonly failure: Promise<never>
  readonly #workers: readonly ChildProcess[]
  readonly #onReport: (worker: number, report: WorkerReport) => void
  readonly #finished = new Set<number>()
  #fail: (error: Error) => void = () => {}

  /** `onReport` is called with each report, including those with which methods resolve. */
  constructor(count: number, onReport: (worker: number, report: WorkerReport) => void) {
    this.#onReport = onReport
    this.failure = new Promise((_, reject) => {
      this.#fail = reject
    })
    // Otherwise the rejection is unhandled if a worker exits while this promise is not awaited.
    this.failure.catch(() => {})
    this.#workers = Array.from({ length: count }, (_, index) => this.#start(index))
  }

  /** Resolves when all workers accept a plan. */
  async ready(): Promise<void> {
    await this.#race(Promise.all(this.#workers.map((worker) => once(worker, 'message'))))
    for (const [index, worker] of this.#workers.entries()) {
      worker.on('message', (message: Reported) => this.#receive(index, message))
    }
  }

  start(plan: Plan, startAt: number): void {
    for (const [worker, process] of this.#workers.entries())
      post(process, { type: 'start', plan, worker, startAt })
  }

  /** Notifies the workers of a probe that was not published, so that its number does not count as lost. */
  unpublished(number: number): void {
    for (const worker of this.#workers) post(worker, { type: 'unpublished', number })
  }

  /** Stops opening and cutting streams. Resolves with the report of each worker. */
  settle(): Promise<WorkerReport[]> {
    return this.#ask({ type: 'settle' }, 'settled')
  }

  /** Resolves with the last report of each worker. */
  finish(message: Omit<Extract<ParentMessage, { type: 'finish' }>, 'type'>): Promise<WorkerReport[]> {
    return this.#ask({ type: 'finish', ...message }, 'final')
  }

  /** Kills all workers. */
  kill(): void {
    for (const worker of this.#workers) worker.kill('SIGKILL')
  }

  #start(index: number): ChildProcess {
    // `argv` has the path of this program, because the ES module has no __filename, and CommonJS no import.meta.
    const worker = fork(process.argv[1] ?? '', ['load-worker'], {
      execArgv: [],
      // Keeps the type of typed arrays.
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    worker.on('error', (error) => this.#fail(new UsageError(`A worker process failed: ${error.message}`)))
    worker.on('exit', (code, signal) => {
      if (this.#finished.has(index)) return
      const cause = signal ? `signal ${signal}` : `status ${code}`
      this.#fail(new UsageError(`A worker process ended early with ${cause}.`))
    })
    return worker
  }

  #receive(index: number, message: Reported): void {
    if (message.type === 'final') this.#finished.add(index)
    this.#onReport(index, message.report)
  }

  #ask(message: ParentMessage, type: Reported['type']): Promise<WorkerReport[]> {
    const replies = this.#workers.map((worker) => replyOf(worker, type))
    for (const worker of this.#workers) post(worker, message)
    return this.#race(Promise.all(replies))
  }

  #race<Value>(promise: Promise<Value>): Promise<Value> {
    return Promise.race([promise, this.failure])
  }
}

function post(worker: ChildProcess, message: ParentMessage): void {
  // If the worker has exited, its `exit` event reports the failure.
  if (worker.connected) worker.send(message, () => {})
}

function replyOf(worker: ChildProcess, type: Reported['type']): Promise<WorkerReport> {
  return new Promise((resolve) => {
    const onMessage = (message: Reported) => {
      if (message.type !== type) return
      worker.off('message', onMessage)
      resolve(message.report)
    }
    worker.on('message', onMessage)
  })
}
