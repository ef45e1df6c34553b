import { StringDecoder } from 'node:string_decoder'

/** Receives the contents of a stream in order. */
export interface ScannerListener {
  /** [spec] An event is dispatched only if it has data. `id` is the last event id at this event. */
  onEvent(name: string, data: string, id: string): void
  /**
   * Called for a comment, and with undefined for a block without data, which may set the last event id. Servers send
   * both as heartbeats.
   */
  onHeartbeat(comment?: string): void
  /** Called with a reconnection time in ms. */
  onRetry(ms: number): void
}

/** The longest line or event in characters. A longer one would exhaust the memory of the worker. */
const MAX_LENGTH = 2 ** 24

/** Chunks of more characters are released. */
const LARGE = 4096

const SPACE = 0x20
const COLON = 0x3a

/**
 * Parses an event stream as the HTML standard describes. Its chunks may be split at any byte.
 *
 * Each event costs a few searches in the text of its chunk. A regular expression for each line would cost more than all
 * other work of a worker.
 */
export class EventScanner {
  /** [spec] Kept until an event changes it. */
  lastEventId: string
  readonly #listener: ScannerListener
  // Created at the first chunk that is not ASCII, because thousands of streams never need one.
  #decoder: StringDecoder | undefined
  #rest = ''
  #isStart = true
  #endedWithCR = false
  #id: string
  #name = ''
  #data: string | undefined
  #hasField = false

  constructor(listener: ScannerListener, lastEventId: string) {
    this.#listener = listener
    this.lastEventId = lastEventId
    this.#id = lastEventId
  }

  /** Throws `RangeError` if an event is longer than 16 MiB. */
  feed(chunk: Buffer, isAscii: boolean): void {
    const decoded = this.#decode(chunk, isAscii)
    if (decoded === '') return
    const text = this.#withLineFeeds(this.#withoutBom(decoded))
    if (!text.includes('\n')) {
      // Searching in `all` would copy the beginning of a long line for each of its chunks.
      this.#rest += text
      this.#checkLength()
      return
    }
    const searched = this.#rest.length
    const all = this.#rest + text
    let start = 0
    let end = all.indexOf('\n', searched)
    while (end !== -1) {
      this.#readLine(all, start, end)
      start = end + 1
      end = all.indexOf('\n', start)
    }
    this.#rest = start === 0 ? all : all.slice(start)
    if (all.length > LARGE) this.#release()
    this.#checkLength()
  }

  // Copies the text that is kept, because a substring keeps its whole chunk in memory.
  #release(): void {
    this.#rest = copyOf(this.#rest)
    this.#id = copyOf(this.#id)
    this.lastEventId = copyOf(this.lastEventId)
  }

  #checkLength(): void {
    if (this.#rest.length + (this.#data?.length ?? 0) > MAX_LENGTH)
      throw new RangeError('The event is too long.')
  }

  #decode(chunk: Buffer, isAscii: boolean): string {
    if (isAscii && this.#decoder === undefined) return chunk.toString('latin1')
    this.#decoder ??= new StringDecoder('utf8')
    return this.#decoder.write(chunk)
  }

  // [spec] One BOM at the start is not part of the stream.
  #withoutBom(text: string): string {
    if (!this.#isStart) return text
    this.#isStart = false
    return text.startsWith('\uFEFF') ? text.slice(1) : text
  }

  // A CR ends its line immediately. If the next chunk begins with LF, that LF belongs to the same line end.
  #withLineFeeds(text: string): string {
    const rest = this.#endedWithCR && text.startsWith('\n') ? text.slice(1) : text
    this.#endedWithCR = text.endsWith('\r')
    return rest.includes('\r') ? rest.replace(/\r\n?/g, '\n') : rest
  }

  #readLine(text: string, start: number, end: number): void {
    // Most lines are data.
    if (text.startsWith('data:', start)) this.#addData(fieldValue(text, start + 5, end))
    else if (start === end) this.#dispatch()
    else if (text.charCodeAt(start) === COLON) this.#listener.onHeartbeat(fieldValue(text, start + 1, end))
    else {
      const colon = text.indexOf(':', start)
      const hasValue = colon !== -1 && colon < end
      const name = text.slice(start, hasValue ? colon : end)
      this.#readField(name, hasValue ? fieldValue(text, colon + 1, end) : '')
    }
  }

  #readField(name: string, value: string): void {
    if (name === 'event') this.#name = value
    else if (name === 'data') this.#addData(value)
    // [spec] Ignore an id that contains NUL, and a retry with anything but ASCII digits.
    else if (name === 'id' && !value.includes('\0')) {
      this.#id = value
      this.#hasField = true
    } else if (name === 'retry' && /^\d+$/.test(value)) this.#listener.onRetry(Number(value))
  }

  #addData(value: string): void {
    this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`
  }

  #dispatch(): void {
    const [name, data, hadField] = [this.#name, this.#data, this.#hasField]
    this.#name = ''
    this.#data = undefined
    this.#hasField = false
    this.lastEventId = this.#id
    if (data !== undefined) this.#listener.onEvent(name || 'message', data, this.#id)
    else if (hadField) this.#listener.onHeartbeat()
  }
}

/** [spec] One space after the colon is not part of the value. */
function fieldValue(text: string, start: number, end: number): string {
  return text.slice(text.charCodeAt(start) === SPACE ? start + 1 : start, end)
}

function copyOf(text: string): string {
  return Buffer.from(text).toString()
}
