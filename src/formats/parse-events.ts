import { createParser } from 'eventsource-parser'
import { between, checkOptions, MAX_COUNT } from '../check-options.ts'
import { describe, SseError } from '../errors.ts'
import { closeQuietly, isBytes, isPromise, isSource, openSource, type SourceReader } from '../event/source.ts'
import { Decoder } from '../runtime.ts'

/**
 * An event of an upstream, with the fields that it has. A new reconnection time is an event of its own, without data.
 */
export interface ParsedEvent {
  /** Name of the event. Undefined if it has none. */
  readonly event?: string | undefined
  /** Id of this event. Undefined if it has none, even if an earlier event had one. */
  readonly id?: string | undefined
  /** Data of the event, with its lines joined by LF. */
  readonly data?: string | undefined
  /** New reconnection time in ms. */
  readonly retry?: number | undefined
}

/**
 * A response whose body is an event stream, or the body itself. Its chunks are bytes or text, and may be split
 * anywhere.
 */
export type EventStreamBody =
  | Chunks
  | {
      readonly status?: number
      readonly statusCode?: number
      readonly headers: object
      readonly body: Chunks | null
    }

type Chunks =
  | AsyncIterable<Uint8Array | string>
  | Iterable<Uint8Array | string>
  // A structural `ReadableStream`, because that of `lib.dom.d.ts` is not always declared as an async iterable.
  | { getReader(): { read(): Promise<{ done: boolean; value?: Uint8Array | string | undefined }> } }

export interface ParseOptions {
  /** Longest data of an event, in characters. A longer event ends the source with an error. Default 1 048 576. */
  maxEventLength?: number | undefined
}

const DEFAULTS = { maxEventLength: 1024 * 1024 }
const CHECKS = { maxEventLength: between(1, MAX_COUNT) }

/**
 * Returns the events of an upstream, for example of `fetch`, as a source for `sendAll` or for a handler to return:
 *
 * ```js
 * import { parseEvents } from 'spillway'
 * import { sse } from 'spillway/express'
 *
 * const relay = sse(async (stream) =>
 *   parseEvents(await fetch('https://example.com/events', { signal: stream.signal })),
 * )
 * ```
 *
 * The upstream is read at the pace of the client. It is closed when the source is closed, even while a read is pending.
 * Comments and blocks without data are skipped.
 *
 * Throws `SseError`: `ERR_SSE_UPSTREAM` for a response that is not an event stream, which is then closed;
 * `ERR_SSE_SOURCE`, `ERR_SSE_OPTION`. Reading rejects with an error of the upstream, and with `ERR_SSE_UPSTREAM` for an
 * event that is too long.
 */
export function parseEvents(
  body: EventStreamBody,
  options: ParseOptions = {},
): AsyncIterableIterator<ParsedEvent> {
  const { maxEventLength } = { ...DEFAULTS, ...checkOptions(options, CHECKS) }
  const reader = openUpstream(body)
  const events = readEvents(reader, maxEventLength)
  return {
    next: () => events.next(),
    return() {
      // A generator waits for its pending read, which ends when the upstream is closed.
      closeQuietly(reader)
      return events.return(undefined)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

function openUpstream(upstream: unknown): SourceReader {
  const { status, statusCode = status, headers, body } = Object(upstream)
  const chunks = isSource(upstream) ? upstream : body === null ? [] : body
  if (!isSource(chunks)) {
    const hint = isPromise(upstream) ? ' Await it first.' : ''
    const given = describe(body ?? upstream)
    throw new SseError('ERR_SSE_SOURCE', `parseEvents() reads a response or its body, not ${given}.${hint}`)
  }
  const reader = openSource(chunks)
  const type = headers?.get?.('content-type') ?? headers?.['content-type']
  const isEventStream = statusCode >= 200 && statusCode < 300 && /^text\/event-stream/i.test(type)
  if (typeof statusCode !== 'number' || isEventStream) return reader
  closeQuietly(reader)
  throw upstreamError(
    `responded with status ${statusCode} and Content-Type ${type}, not with an event stream`,
  )
}

async function* readEvents(reader: SourceReader, maxLength: number): AsyncGenerator<ParsedEvent, undefined> {
  const parser = new ChunkParser(maxLength)
  try {
    for (;;) {
      const { done, value } = (await reader.next()) as IteratorResult<unknown, unknown>
      if (done) return undefined
      yield* parser.read(value)
      if (parser.isOverflowing) throw upstreamError(`sent an event of more than ${maxLength} characters`)
    }
  } finally {
    closeQuietly(reader)
  }
}

function upstreamError(message: string): SseError {
  return new SseError('ERR_SSE_UPSTREAM', `The upstream ${message}.`)
}

/** Parses chunks that may be split anywhere, even inside a character or a CRLF. */
class ChunkParser {
  /** True once an event is too long. No further events are read. */
  isOverflowing = false
  readonly #maxLength: number
  readonly #parser: ReturnType<typeof createParser>
  // Node 24 removes two BOMs if they arrive in separate chunks, so the parser removes the BOM itself.
  readonly #decoder = new Decoder('utf-8', { ignoreBOM: true })
  #events: ParsedEvent[] = []
  #isStart = true
  #endedWithCR = false

  constructor(maxLength: number) {
    this.#maxLength = maxLength
    this.#parser = createParser({
      // The buffer may hold an incomplete line, which begins with the name of its field.
      maxBufferSize: maxLength + 'data: '.length,
      onEvent: (event) => this.#add(event, event.data.length),
      // [spec] Any digits are a time. A time that is not a safe integer is ignored, because `send` rejects it.
      onRetry: (retry) => Number.isSafeInteger(retry) && this.#add({ retry }, 0),
      onError: ({ type }) => {
        if (type === 'max-buffer-size-exceeded') this.isOverflowing = true
      },
    })
  }

  /** Returns the events that a chunk completes. Throws `SseError` `ERR_SSE_SOURCE` for a chunk of another type. */
  read(chunk: unknown): readonly ParsedEvent[] {
    this.#events = []
    const text = this.#withLineFeeds(this.#withoutBom(this.#decode(chunk)))
    if (text !== '') this.#parser.feed(text)
    return this.#events
  }

  #add(event: ParsedEvent, length: number): void {
    this.isOverflowing ||= length > this.#maxLength
    if (!this.isOverflowing) this.#events.push(event)
  }

  #decode(chunk: unknown): string {
    if (typeof chunk === 'string') return chunk
    if (isBytes(chunk)) return this.#decoder.decode(chunk, { stream: true })
    throw new SseError('ERR_SSE_SOURCE', `parseEvents() reads bytes or text, not ${describe(chunk)}.`)
  }

  // [spec] One BOM at the start is not part of the stream.
  #withoutBom(text: string): string {
    if (text === '' || !this.#isStart) return text
    this.#isStart = false
    return text.startsWith('\uFEFF') ? text.slice(1) : text
  }

  // The parser would wait for the next chunk at a CR, which may be the first half of a CRLF.
  #withLineFeeds(text: string): string {
    if (text === '') return text
    const rest = this.#endedWithCR && text.startsWith('\n') ? text.slice(1) : text
    this.#endedWithCR = text.endsWith('\r')
    return rest.includes('\r') ? rest.replace(/\r\n?/g, '\n') : rest
  }
}
