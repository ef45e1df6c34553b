import { type Flushable, turn } from '../../../scheduler/turn.ts'
import { rejectedError } from '../../broker/errors.ts'
import type { RangeConnection } from '../range-connection.ts'
import { toText } from '../replies.ts'
import { APPEND } from './run-scripts.ts'

// The maxima of one script, so that Redis is not blocked for long. A larger batch is sent alone.
const MAX_APPENDS = 128
const MAX_BYTES = 256 * 1024
// The maximum number of scripts in flight. Meanwhile, appends of several turns are collected.
const MAX_IN_FLIGHT = 2

/** Sends the appends of all runs of this process. The appends of one turn of the event loop share a command. */
export class AppendQueue implements Flushable {
  readonly #connection: RangeConnection
  readonly #absent: string
  // The appends that an abort of a signal rejects. Each signal has one listener, because one for each append is
  // expensive.
  readonly #pending = new WeakMap<AbortSignal, Set<Append>>()
  #waiting = new Set<Append>()
  // Withdraws the scripts in flight. They share it, because each signal with its listeners is expensive.
  #withdrawal = new AbortController()
  #inFlight = 0
  #isScheduled = false

  /** `absent` is the key that each script names too, as described in `RunKeys`. */
  constructor(connection: RangeConnection, absent: string) {
    this.#connection = connection
    this.#absent = absent
  }

  /**
   * Appends to the run with a key. Resolves with false if the append is refused. Retries until the signal is aborted,
   * and then rejects with its reason. Rejects with `SseError` for a permanent error.
   */
  append(key: string, args: readonly string[], signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.reject(signal.reason)
    const append = new Append(key, args, this.#pendingOf(signal))
    this.#waiting.add(append)
    if (!this.#isScheduled) turn.scheduleFlush(this)
    this.#isScheduled = true
    return append.result
  }

  /** @internal */
  _flush(): void {
    this.#isScheduled = false
    this.#drain()
  }

  #pendingOf(signal: AbortSignal): Set<Append> {
    const present = this.#pending.get(signal)
    if (present) return present
    const pending = new Set<Append>()
    this.#pending.set(signal, pending)
    const abort = () => {
      for (const append of pending) {
        this.#waiting.delete(append)
        append.abort(signal.reason)
      }
    }
    signal.addEventListener('abort', abort, { once: true })
    return pending
  }

  #drain(): void {
    while (this.#inFlight < MAX_IN_FLIGHT && this.#waiting.size > 0) void this.#send(this.#take())
  }

  /** Returns the appends of the next script. */
  #take(): Append[] {
    const group: Append[] = []
    let bytes = 0
    for (const append of this.#waiting) {
      bytes += append.size
      if (group.length >= MAX_APPENDS || (bytes > MAX_BYTES && group.length > 0)) break
      this.#waiting.delete(append)
      group.push(append)
    }
    return group
  }

  async #send(group: readonly Append[]): Promise<void> {
    this.#inFlight += 1
    const { signal } = this.#withdrawal
    for (const append of group) append.onAbort = this.#withdraw
    try {
      const keys = [...group.map(({ key }) => key), this.#absent]
      const args = group.flatMap(({ args }) => args)
      const results = await this.#connection.read(signal, (ask) => APPEND.runOn(ask, keys, args))
      for (const [i, append] of group.entries()) append.settle((results as unknown[])[i])
    } catch (error) {
      if (signal.aborted) this.#requeue(group)
      else for (const append of group) append.reject(error)
    }
    this.#inFlight -= 1
    this.#drain()
  }

  readonly #withdraw = (): void => {
    this.#withdrawal.abort()
    this.#withdrawal = new AbortController()
  }

  // Requeues the appends that are not aborted. They may be sent twice, which is harmless.
  #requeue(group: readonly Append[]): void {
    this.#waiting = new Set([...group.filter(({ isSettled }) => !isSettled), ...this.#waiting])
  }
}

/** An append of one batch. */
class Append {
  readonly key: string
  readonly args: readonly string[]
  // The appends of the signal that are not settled.
  readonly #pending: Set<Append>
  onAbort = () => {}
  #resolve!: (isStored: boolean) => void
  #reject!: (error: unknown) => void
  readonly result = new Promise<boolean>((resolve, reject) => {
    this.#resolve = resolve
    this.#reject = reject
  })

  constructor(key: string, args: readonly string[], pending: Set<Append>) {
    this.key = key
    this.args = args
    this.#pending = pending
    pending.add(this)
  }

  get isSettled(): boolean {
    return !this.#pending.has(this)
  }

  get size(): number {
    return this.args.at(-1)?.length ?? 0
  }

  /** Settles the append with its reply, which is a number or an error. A client may decode a number as text. */
  settle(reply: unknown): void {
    const text = toText(reply)
    this.#pending.delete(this)
    if (text === '0' || text === '1') this.#resolve(text === '1')
    else this.#reject(rejectedError(new Error(text)))
  }

  reject(error: unknown): void {
    this.#pending.delete(this)
    this.#reject(error)
  }

  abort(reason: unknown): void {
    this.reject(reason)
    this.onAbort()
  }
}
