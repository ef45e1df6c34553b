import { type ChildProcess, spawn } from 'node:child_process'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { printable } from '../printable.ts'
import { sharedNow } from './clock.ts'
import { probeMark } from './data-reader.ts'
import { SampleBuffer } from './sample-buffer.ts'
import { Schedule, Timetable } from './schedule.ts'
import type { Transport } from './transport.ts'

/** Publishes one probe with its mark. Rejects if that fails, or with the reason of the signal if it aborts. */
export type Publish = (mark: string, signal: AbortSignal) => Promise<void>

/** How long a publish may take before it counts as failed, in ms. */
const TIMEOUT = 30_000
/** How long the output of a failed command may follow its end, in ms. */
const OUTPUT_TIMEOUT = 1000
/** How long the last publish may take after the end of a run, in ms. */
const STOP_TIMEOUT = 5000

/**
 * Publishes numbered probes at a constant rate, one after another, so that they are published in order. The mark of a
 * late probe has the time at which it was due.
 */
export class Publisher {
  /** Numbers that were not published. */
  readonly unpublished: number[] = []
  /** The times from when a probe was due to the end of its publish. */
  readonly lateness = new SampleBuffer()
  /** The part of that time for which this process was the cause. */
  readonly ownLateness = new SampleBuffer()
  /** The number of probes that were published. */
  published = 0
  /** The number of the last published probe, or -1. */
  last = -1
  /** The reason of the last failure. */
  failure: string | undefined
  readonly #publish: Publish
  readonly #prefix: string
  readonly #timetable: Timetable
  readonly #onUnpublished: (number: number) => void
  readonly #controller = new AbortController()
  #due: number[] = []
  #number = 0
  #isBusy = false
  #isStopped = false
  #onIdle = () => {}

  /** `startAt` is the time of the first probe, of `sharedNow`. `onUnpublished` is called with numbers that fail. */
  constructor(
    publish: Publish,
    { prefix, startAt, rate }: { readonly prefix: string; readonly startAt: number; readonly rate: number },
    onUnpublished: (number: number) => void,
  ) {
    this.#publish = publish
    this.#prefix = prefix
    this.#onUnpublished = onUnpublished
    this.#timetable = new Timetable(new Schedule(startAt, rate), sharedNow, (due) => {
      this.#due.push(due)
      this.ownLateness.add(sharedNow() - due)
      void this.#work()
      return true
    })
    this.#timetable.start()
  }

  /** Omits probes that are due. Resolves when the publish in progress has ended, or after five seconds. */
  async stop(): Promise<void> {
    this.#end()
    if (!this.#isBusy) return
    const timer = setTimeout(() => this.abort(), STOP_TIMEOUT)
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve
    })
    clearTimeout(timer)
  }

  /**
   * The number of probes that are due and have not begun. At the end of a run, it shows that publishing was too slow.
   */
  get waiting(): number {
    return this.#due.length
  }

  /** Publishes no further probe, and aborts the publish in progress. */
  abort(): void {
    this.#end()
    this.#controller.abort(new Error('not complete when the run ended'))
  }

  #end(): void {
    this.#timetable.stop()
    this.#isStopped = true
  }

  async #work(): Promise<void> {
    if (this.#isBusy) return
    this.#isBusy = true
    while (!this.#isStopped) {
      const due = this.#due.shift()
      if (due === undefined) break
      await this.#publishOne(due)
    }
    this.#isBusy = false
    this.#onIdle()
  }

  async #publishOne(due: number): Promise<void> {
    const number = this.#number
    this.#number += 1
    this.lateness.add(sharedNow() - due)
    try {
      await this.#publishWithin(probeMark(this.#prefix, number, due))
      this.published += 1
      this.last = number
    } catch (error) {
      this.unpublished.push(number)
      this.#onUnpublished(number)
      this.failure = printable((error as Error).message, 200)
    }
  }

  async #publishWithin(mark: string): Promise<void> {
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(new Error('not complete within 30 s')), TIMEOUT)
    try {
      await this.#publish(mark, AbortSignal.any([late.signal, this.#controller.signal]))
    } finally {
      clearTimeout(timer)
    }
  }
}

/** Returns a function that sends probes in requests. `{probe}` in the body is replaced by the mark. */
export function publishByRequest(
  transport: Transport,
  headers: Readonly<Record<string, string>>,
  body: string,
): Publish {
  return (mark, signal) =>
    new Promise((resolve, reject) => {
      const content = Buffer.from(body.replaceAll('{probe}', mark))
      const all = { 'content-type': 'application/json', ...headers }
      let status: number | undefined
      const conclude = (error: Error | undefined) => {
        signal.removeEventListener('abort', onAbort)
        if (error) reject(error)
        else resolve()
      }
      const exchange = transport.send(
        { method: 'POST', headers: all, body: content },
        {
          onResponse(received) {
            status = received
          },
          onBody() {},
          onEnd: () => conclude(isSuccess(status) ? undefined : new Error(`status ${status}`)),
          onFailure: ({ message }) => conclude(new Error(message)),
        },
      )
      const onAbort = () => {
        exchange.destroy()
        conclude(signal.reason)
      }
      signal.addEventListener('abort', onAbort)
    })
}

function isSuccess(status = 0): boolean {
  return status >= 200 && status < 300
}

/** Returns a function that runs a shell command for each probe, with its mark in place of `{probe}`. */
export function publishByCommand(command: string): Publish {
  return (mark, signal) =>
    new Promise((resolve, reject) => {
      const env = { ...process.env, SPILLWAY_PROBE: mark }
      const child = spawn(command.replaceAll('{probe}', mark), {
        shell: true,
        env,
        stdio: ['ignore', 'ignore', 'pipe'],
        // A separate process group, so that child processes of the shell end with it, and Ctrl-C does not end it.
        detached: true,
      })
      const error = lastLineOf(child.stderr)
      const onAbort = () => {
        killGroup(child)
        reject(signal.reason)
      }
      signal.addEventListener('abort', onAbort)
      child.on('error', reject)
      const end = (code: number | null, killedBy: NodeJS.Signals | null) => {
        if (code === 0) resolve()
        else reject(new Error(error() || (killedBy ? `signal ${killedBy}` : `status ${code}`)))
      }
      child.on('close', end)
      // `close` waits for background processes of the command. The last output may follow `exit`.
      child.on('exit', (code, killedBy) => {
        signal.removeEventListener('abort', onAbort)
        setTimeout(end, code === 0 ? 0 : OUTPUT_TIMEOUT, code, killedBy).unref()
        if (child.stderr instanceof Socket) child.stderr.unref()
      })
    })
}

/** Kills a process and all its descendants. */
function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Windows has no process groups.
    child.kill('SIGKILL')
  }
}

function lastLineOf(stream: Readable): () => string {
  let text = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    text = (text + chunk).slice(-1000)
  })
  return () => text.trim().split('\n').at(-1) ?? ''
}
