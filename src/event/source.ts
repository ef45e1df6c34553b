import type { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { describe, SseError } from '../errors.ts'
import type { AnyEvents, EventMap, SseEvent } from './event.ts'

/** What a source may yield: an event, or a piece of text, which becomes the data of one. */
export type SourceItem<Events extends EventMap = AnyEvents> = SseEvent<Events> | string | Uint8Array

export type MaybePromise<T> = T | Promise<T>

/** Anything that yields events one after the other. */
export type Source<Events extends EventMap = AnyEvents> =
  | (Iterable<SourceItem<Events>> & object)
  | AsyncIterable<SourceItem<Events>>
  | Readable
  | WebStream<SourceItem<Events>>

// A `ReadableStream`, of whichever library of types: that of the DOM is no async iterable everywhere.
interface WebStream<Item> {
  getReader(): {
    read(): Promise<{ done: false; value: Item } | { done: true; value?: unknown }>
    cancel(reason?: unknown): Promise<void>
  }
}

/** Whether something can be read as a source; a string cannot. */
export function isSource(value: unknown): value is Source {
  const of = Object(value) as Partial<AsyncIterable<unknown> & Iterable<unknown> & ReadableStream>
  const yields = of[Symbol.asyncIterator] ?? of[Symbol.iterator] ?? of.getReader
  return typeof value === 'object' && !ArrayBuffer.isView(value) && typeof yields === 'function'
}

/** A source waits when it is so many bytes ahead of what has left. */
export const READ_AHEAD_BYTES = 16 * 1024

/** Stops everything that is being read. */
export type StopCallbacks = Set<() => void>

/**
 * Reads a source to its end, or until its entry in `stops` is called; then the source is closed, also while it has
 * not answered. `send` says whether to go on. Resolves with whether the source was read to its end.
 *
 * Rejects with what the source or `send` throws, or with `SseError` `ERR_SSE_SOURCE` for what cannot be read.
 */
export async function readSource(
  source: unknown,
  stops: StopCallbacks,
  send: (event: SseEvent) => boolean | Promise<boolean>,
): Promise<boolean> {
  const reader = open(source)
  let stop = () => {}
  const stopped = new Promise<boolean>((resolve) => {
    stop = () => resolve(false)
  })
  stops.add(stop)
  try {
    const isWhole = await Promise.race([stopped, forEach(reader, send)])
    if (!isWhole) closeQuietly(reader)
    return isWhole
  } catch (error) {
    closeQuietly(reader)
    throw error
  } finally {
    stops.delete(stop)
  }
}

/** Closes a source that nobody will read. Resolves with false: it was not read to its end. */
export async function closeSource(source: unknown): Promise<false> {
  closeQuietly(open(source))
  return false
}

interface Reader {
  next(): unknown
  cancel(): unknown
}

async function forEach(
  reader: Reader,
  send: (event: SseEvent) => boolean | Promise<boolean>,
): Promise<boolean> {
  const text = new TextChunks()
  for (;;) {
    const { done, value } = (await reader.next()) as IteratorResult<unknown, unknown>
    const event = done ? text.rest() : text.toEvent(value)
    const goesOn = event ? send(event) : true
    // What is answered at once is not waited for: a promise for each event costs, most of all where they are traced.
    if (!(typeof goesOn === 'boolean' ? goesOn : await goesOn)) return false
    if (done) return true
  }
}

// What a source throws when it is closed concerns nobody any more.
function closeQuietly(reader: Reader): void {
  Promise.resolve()
    .then(() => reader.cancel())
    .catch(() => {})
}

function open(source: unknown): Reader {
  const of = Object(source) as Partial<Readable & ReadableStream>
  if (typeof of.getReader === 'function') {
    const reader = of.getReader()
    return { next: () => reader.read(), cancel: () => reader.cancel() }
  }
  const iterator = iterate(source)
  // A generator that waits for something cannot be returned before it has it; a Node stream can be destroyed.
  const cancel = () =>
    typeof of.destroy === 'function' ? destroyQuietly(of as Readable) : iterator.return?.()
  return { next: () => iterator.next(), cancel }
}

// A file that is not there says so after it was destroyed; nobody listens any more.
function destroyQuietly(stream: Readable): void {
  stream.on?.('error', () => {})
  stream.destroy()
}

function iterate(source: unknown): AsyncIterator<unknown> | Iterator<unknown> {
  const of = source as AsyncIterable<unknown> & Iterable<unknown>
  const isIterable = typeof source === 'object' && source !== null && !ArrayBuffer.isView(source)
  if (isIterable && typeof of[Symbol.asyncIterator] === 'function') return of[Symbol.asyncIterator]()
  if (isIterable && typeof of[Symbol.iterator] === 'function') return of[Symbol.iterator]()
  throw new SseError(
    'ERR_SSE_SOURCE',
    `A source yields events: an iterable or a stream, not ${describe(source)}.`,
  )
}

/** Makes events of pieces of text, however the pieces were cut. */
class TextChunks {
  // Created for the first bytes, because Jest's jsdom environment has no `TextDecoder`.
  #utf8: InstanceType<typeof TextDecoder> | undefined
  #carriageReturn = ''

  toEvent(item: unknown): SseEvent | undefined {
    if (typeof item === 'string') return this.#chunk(item)
    if (item instanceof Uint8Array) return this.#chunk(this.#decode(item))
    return item as SseEvent
  }

  rest(): SseEvent | undefined {
    const data = this.#carriageReturn + (this.#utf8?.decode() ?? '')
    return data === '' ? undefined : { data }
  }

  #decode(bytes: Uint8Array): string {
    this.#utf8 ??= new TextDecoder('utf-8', { ignoreBOM: true })
    return this.#utf8.decode(bytes, { stream: true })
  }

  // A CR at the end may be half of a CRLF: it waits for the other half.
  #chunk(text: string): SseEvent | undefined {
    const whole = this.#carriageReturn + text
    this.#carriageReturn = whole.endsWith('\r') ? '\r' : ''
    const data = this.#carriageReturn ? whole.slice(0, -1) : whole
    return data === '' ? undefined : { data }
  }
}
