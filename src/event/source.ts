import type { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { mustBe } from '../errors.ts'
import { Decoder } from '../runtime.ts'
import type { AnyEvents, EventMap, SseEvent } from './event.ts'

/** An item of a source: an event, or a chunk of text, which becomes the data of an event. */
export type SourceItem<Events extends EventMap = AnyEvents> = SseEvent<Events> | string | Uint8Array

export type MaybePromise<T> = T | Promise<T>

/** Whether a value is a promise or another object with a method `then`. */
export function isPromise<T>(value: MaybePromise<T>): value is Promise<T> {
  return typeof Object(value).then === 'function'
}

/** An iterable, a generator or a stream of events. */
export type Source<Events extends EventMap = AnyEvents> =
  | (Iterable<SourceItem<Events>> & object)
  | AsyncIterable<SourceItem<Events>>
  | Readable
  | WebStream<SourceItem<Events>>

// A structural `ReadableStream`, because that of `lib.dom.d.ts` is not always declared as an async iterable.
interface WebStream<Item> {
  getReader(): {
    read(): Promise<{ done: false; value: Item } | { done: true; value?: unknown }>
    cancel(reason?: unknown): Promise<void>
  }
}

/** True if a value can be read as a source. False for a string and for bytes. */
export function isSource(value: unknown): value is Source {
  return typeof (iteratorMethod(value) ?? Object(value).getReader) === 'function'
}

/** True for a `Uint8Array`, also one of another realm. Buffers are of another realm in Jest's jsdom environment. */
export function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && {}.toString.call(value) === '[object Uint8Array]'
}

function iteratorMethod(value: unknown) {
  if (typeof value !== 'object' || ArrayBuffer.isView(value)) return undefined
  const of = Object(value)
  return of[Symbol.asyncIterator] ?? of[Symbol.iterator]
}

/** A source is paused while this many bytes that it yielded have not been sent. */
export const READ_AHEAD_BYTES = 16 * 1024

/** Callbacks that stop the sources being read. */
export type StopCallbacks = Set<() => void>

/**
 * Reads a source until its end, until `send` returns false, or until its callback in `stops` is called. In the last two
 * cases, the source is closed, even while a read is pending. Resolves with true if the source was read to its end.
 *
 * Rejects with the error of the source or of `send`, and with `SseError` `ERR_SSE_SOURCE` for a value that is no
 * source.
 */
export async function readSource(
  source: unknown,
  stops: StopCallbacks,
  send: (event: SseEvent) => boolean | Promise<boolean>,
): Promise<boolean> {
  let stop = () => {}
  const stopped = new Promise<boolean>((resolve) => {
    stop = () => resolve(false)
  })
  stops.add(stop)
  let reader: SourceReader | undefined
  let isComplete = false
  try {
    // After `stops.add`, because the code that opens the source may call `stop`.
    reader = openSource(source)
    isComplete = await Promise.race([stopped, readItems(reader, send)])
    return isComplete
  } finally {
    stops.delete(stop)
    if (reader && !isComplete) void closeQuietly(reader)
  }
}

/** Closes a source without reading it. Resolves with false, as `readSource` does for an incomplete source. */
export async function closeSource(source: unknown): Promise<false> {
  void closeQuietly(openSource(source))
  return false
}

/** Reads the items of a source. `cancel` closes it, even while `next` is pending. */
export interface SourceReader {
  next(): unknown
  cancel(): unknown
}

/**
 * Passes the events of a source to `send` until its end, or until `send` returns false. Resolves with true at the end.
 * Rejects with the error of the source or of `send`. It does not close the source.
 */
export async function readItems(
  reader: SourceReader,
  send: (event: SseEvent) => boolean | Promise<boolean>,
): Promise<boolean> {
  const text = new TextChunks()
  for (;;) {
    const { done, value } = (await reader.next()) as IteratorResult<unknown, unknown>
    const event = done ? text.rest() : text.toEvent(value)
    // A chunk that is only the first half of a character or a CRLF yields no event yet.
    const sent = event === '' || send(event)
    // Await only a promise, because an await per event is expensive, above all with async hooks enabled.
    if (!(typeof sent === 'boolean' ? sent : await sent)) return false
    if (done) return true
  }
}

/** Closes a source. Resolves when it is closed. Its errors are ignored, because its result is no longer needed. */
export async function closeQuietly(reader: SourceReader): Promise<void> {
  try {
    await reader.cancel()
  } catch {
    // The source is closed nevertheless.
  }
}

/** Returns a reader of a source. Throws `SseError` `ERR_SSE_SOURCE` for a value that is no source. */
export function openSource(source: unknown): SourceReader {
  const of = Object(source) as Partial<Readable & ReadableStream>
  const reader = of.getReader?.()
  if (reader) return { next: () => reader.read(), cancel: () => reader.cancel() }
  const iterator = iterate(source)
  // `return()` of a generator waits for its pending `await`. A Node stream can be destroyed at any time.
  const cancel = () => (of.destroy ? destroyQuietly(of as Readable) : iterator.return?.())
  return { next: () => iterator.next(), cancel }
}

// A stream may emit an error after `destroy()`, for example when its file does not exist.
function destroyQuietly(stream: Readable): void {
  stream.on?.('error', () => {})
  stream.destroy()
}

function iterate(source: unknown): AsyncIterator<unknown> | Iterator<unknown> {
  const start = iteratorMethod(source)
  if (typeof start === 'function') return start.call(source)
  mustBe(A_SOURCE, 'ERR_SSE_SOURCE', 'A source', source)
}

const A_SOURCE = 'an iterable or a stream of events (use parseEvents() for a response)'

// Fields and comments, up to a blank line.
const EVENT_STREAM = /^((data|event|id|retry|):.*\r?\n)+\r?\n/

// How much of a source is checked for the text of an event stream, in characters.
const CHECKED_START = 4096

// The first half of a CRLF or of a surrogate pair, whose other half may follow in the next chunk.
const HALF = /[\r\ud800-\udbff]/

/** Converts text chunks to events. The chunks may be split anywhere, even inside a character or a CRLF. */
class TextChunks {
  // Created for the first bytes, because most sources yield none.
  #utf8: InstanceType<typeof Decoder> | undefined
  #half = ''
  // The text of the first bytes.
  #start = ''

  toEvent(item: unknown): SseEvent | '' {
    const text = isBytes(item) ? this.#decode(item) : item
    return typeof text === 'string' ? this.#chunk(text) : (text as SseEvent)
  }

  rest(): SseEvent | '' {
    const data = this.#half + (this.#utf8?.decode() ?? '')
    return data && { data }
  }

  #decode(bytes: Uint8Array): string {
    this.#utf8 ??= new Decoder('utf-8', { ignoreBOM: true })
    const text = this.#utf8.decode(bytes, { stream: true })
    // Strings are not checked, because a language model may respond with the text of an event stream.
    if (this.#start.length < CHECKED_START) {
      this.#start += text
      if (EVENT_STREAM.test(this.#start)) mustBe(A_SOURCE, 'ERR_SSE_SOURCE', 'A source', this.#start)
    }
    return text
  }

  // Keeps a half at the end until the next chunk.
  #chunk(text: string): SseEvent | '' {
    const joined = this.#half + text
    const data = HALF.test(joined.slice(-1)) ? joined.slice(0, -1) : joined
    this.#half = joined.slice(data.length)
    return data && { data }
  }
}
