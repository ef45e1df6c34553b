import { spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { sharedNow } from './clock.ts'
import { probeMark } from './data-reader.ts'
import { SampleBuffer } from './sample-buffer.ts'
import { Schedule, Timetable } from './schedule.ts'
import type { Transport } from './transport.ts'

/** Publishes one probe with its mark. Rejects if it was not published. */
export type Publish = (mark: string) => Promise<void>

/** How long a publish may take. Later it counts as failed. */
const TIMEOUT = 30_000

/**
 * Publishes numbered probes at a constant rate, one after another, so that their order is that of their numbers. A probe
 * that is published late has the time at which it was due.
 */
export class Publisher {
  /** Numbers that were not published. */
  readonly unpublished: number[] = []
  /** The times from when a probe was due to when it was published. */
  readonly lateness = new SampleBuffer()
  /** The number of probes that were published. */
  published = 0
  /** The number of the last one that was published, or -1. */
  last = -1
  /** Why the last one failed. */
  failure: string | undefined
  readonly #publish: Publish
  readonly #prefix: string
  readonly #timetable: Timetable
  #due: number[] = []
  #number = 0
  #isBusy = false
  #isStopped = false
  #onIdle = () => {}

  /** `startAt` is the time of the first probe, one of `sharedNow`. `rate` is per second. */
  constructor(publish: Publish, prefix: string, startAt: number, rate: number) {
    this.#publish = publish
    this.#prefix = prefix
    this.#timetable = new Timetable(new Schedule(startAt, rate), sharedNow, (due) => {
      this.#due.push(due)
      void this.#work()
      return true
    })
    this.#timetable.start()
  }

  /** Publishes no further probe. Resolves when the one that has begun is published. Those that are due are omitted. */
  async stop(): Promise<void> {
    this.abandon()
    if (!this.#isBusy) return
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve
    })
  }

  /** The number of probes that are due and have not begun. At the end, these show that the publishing was too slow. */
  get waiting(): number {
    return this.#due.length
  }

  /** Publishes no further probe, and does not wait for the one that has begun. */
  abandon(): void {
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
      await this.#publish(probeMark(this.#prefix, number, due))
      this.published += 1
      this.last = number
    } catch (error) {
      this.unpublished.push(number)
      this.failure = (error as Error).message
    }
  }
}

/** Returns a function that sends probes in requests. `{probe}` in the body is replaced by the mark. */
export function publishByRequest(
  transport: Transport,
  headers: Readonly<Record<string, string>>,
  body: string,
): Publish {
  return (mark) =>
    new Promise((resolve, reject) => {
      const content = Buffer.from(body.replaceAll('{probe}', mark))
      const all = { 'content-type': 'application/json', ...headers }
      let status: number | undefined
      const conclude = (message: string) => {
        clearTimeout(timer)
        if (status === undefined) reject(new Error(message))
        else if (status >= 200 && status < 300) resolve()
        else reject(new Error(`status ${status}`))
      }
      const exchange = transport.send(
        { method: 'POST', headers: all, body: content },
        {
          onResponse(received) {
            status = received
          },
          onBody() {},
          onEnd: () => conclude('no status'),
          onFailure: ({ message }) => conclude(message),
        },
      )
      const timer = setTimeout(() => {
        exchange.destroy()
        reject(new Error(`no response within ${TIMEOUT / 1000} s`))
      }, TIMEOUT)
    })
}

/** Returns a function that runs a command of the shell for each probe, with its mark in place of `{probe}`. */
export function publishByCommand(command: string): Publish {
  return (mark) =>
    new Promise((resolve, reject) => {
      const env = { ...process.env, SPILLWAY_PROBE: mark }
      const child = spawn(command.replaceAll('{probe}', mark), {
        shell: true,
        env,
        stdio: ['ignore', 'ignore', 'pipe'],
        timeout: TIMEOUT,
      })
      const error = lastLineOf(child.stderr)
      child.on('error', reject)
      child.on('close', (code, signal) => {
        if (code === 0) resolve()
        else reject(new Error(error() || (signal ? `signal ${signal}` : `status ${code}`)))
      })
    })
}

function lastLineOf(stream: Readable): () => string {
  let text = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    text = (text + chunk).slice(-1000)
  })
  return () => text.trim().split('\n').at(-1) ?? ''
}
