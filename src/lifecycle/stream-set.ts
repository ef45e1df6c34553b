import { Condition } from '../condition.ts'
import { Deadline } from '../scheduler/deadline.ts'
import type { CloseTarget } from '../stream/attachments.ts'
import type { SseStream } from '../stream/stream.ts'
import { closeForShutdown, type ShutdownSettings } from './graceful-close.ts'
import { Spread } from './spread.ts'

/** The open streams of one owner, each with a value. A stream that closes is removed. */
export class StreamSet<Value = undefined> implements CloseTarget {
  readonly #streams = new Map<SseStream, Value>()
  // Streams that `shutdown` or `refuse` has closed, and that still send what is queued.
  readonly #closing = new Set<SseStream>()
  readonly #onClosed: ((value: Value) => void) | undefined
  readonly #condition = new Condition()
  #settings: ShutdownSettings | undefined
  #spread: Spread<SseStream> | undefined

  /** `onClosed` is called with the value of each stream that closes. */
  constructor(onClosed?: (value: Value) => void) {
    this.#onClosed = onClosed
  }

  get size(): number {
    return this.#streams.size
  }

  /** Whether `shutdown` was called. Streams MUST then be passed to `refuse`. */
  get isShutDown(): boolean {
    return this.#settings !== undefined
  }

  get(stream: SseStream): Value | undefined {
    return this.#streams.get(stream)
  }

  keys(): IterableIterator<SseStream> {
    return this.#streams.keys()
  }

  values(): IterableIterator<Value> {
    return this.#streams.values()
  }

  add(stream: SseStream, value: Value): void {
    this.#streams.set(stream, value)
    stream._addCloseTarget(this)
  }

  delete(stream: SseStream): void {
    this.#streams.delete(stream)
    if (this.#settings) this.#condition.notify()
  }

  /** Closes a stream as `shutdown` closes the others. */
  refuse(stream: SseStream): void {
    if (!this.#settings || this.#closing.has(stream)) return
    const { grace, retry } = this.#settings
    const deadline = new Deadline(grace, () => stream._connection.destroy('shutdown'))
    stream._addCloseTarget({ _streamClosed: () => deadline.cancel() })
    this.#close(stream, retry)
  }

  /**
   * Closes all streams gracefully. Resolves when they are closed, including streams that were refused meanwhile. A
   * further call closes the remaining streams with its own settings.
   */
  async shutdown(settings: ShutdownSettings): Promise<void> {
    const { grace, retry, spread } = settings
    this.#settings = settings
    this.#spread?.stop()
    this.#spread = new Spread(this.#streams.keys(), spread, (stream, share) => {
      if (this.#streams.has(stream)) this.#close(stream, retry, share)
    })
    const deadline = new Deadline(spread + grace, () => this.#destroyAll())
    await this.#condition.until(() => this.#streams.size + this.#closing.size === 0)
    // The streams may have ended before their time.
    this.#spread.stop()
    deadline.cancel()
  }

  /** @internal */
  _streamClosed(stream: SseStream): void {
    const value = this.#streams.get(stream) as Value
    this.#closing.delete(stream)
    if (this.#streams.delete(stream)) this.#onClosed?.(value)
    if (this.#settings) this.#condition.notify()
  }

  #close(stream: SseStream, retry: number, share?: number): void {
    this.#closing.add(stream)
    stream._addCloseTarget(this)
    closeForShutdown(stream, retry, share)
  }

  #destroyAll(): void {
    new Spread(new Set([...this.#streams.keys(), ...this.#closing]), 0, (stream) =>
      stream._connection.destroy('shutdown'),
    )
  }
}
