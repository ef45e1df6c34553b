import type { CloseTarget } from '../stream/attachments.ts'
import type { SseStream } from '../stream/stream.ts'
import { closeGracefully, type ShutdownSettings } from './graceful-close.ts'

/** The open streams of one owner, each with a value. A stream that closes is removed. */
export class StreamSet<Value = undefined> implements CloseTarget {
  readonly #streams = new Map<SseStream, Value>()
  readonly #closing = new Set<Promise<void>>()
  readonly #onClosed: ((value: Value) => void) | undefined
  #settings: ShutdownSettings | undefined

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

  values(): IterableIterator<Value> {
    return this.#streams.values()
  }

  add(stream: SseStream, value: Value): void {
    this.#streams.set(stream, value)
    stream._addCloseTarget(this as CloseTarget)
  }

  delete(stream: SseStream): void {
    this.#streams.delete(stream)
  }

  /** Closes a stream as `shutdown` closes the others. */
  refuse(stream: SseStream): void {
    if (this.#settings) this.#close(stream, this.#settings)
  }

  /** Closes all streams gracefully. Resolves when they are closed, and those that were refused meanwhile. */
  async shutdown(settings: ShutdownSettings): Promise<void> {
    this.#settings = settings
    for (const stream of this.#streams.keys()) this.#close(stream, settings)
    while (this.#closing.size > 0) await Promise.all(this.#closing)
  }

  /** @internal */
  _streamClosed(stream: SseStream): void {
    const value = this.#streams.get(stream) as Value
    if (this.#streams.delete(stream)) this.#onClosed?.(value)
  }

  #close(stream: SseStream, settings: ShutdownSettings): void {
    const closed = closeGracefully(stream, settings)
    this.#closing.add(closed)
    closed.finally(() => this.#closing.delete(closed))
  }
}
