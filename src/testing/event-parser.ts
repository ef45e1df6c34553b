// The global one is undefined in Jest's jsdom environment.
import { TextDecoder } from 'node:util'

/** An event as a browser would dispatch it. */
export interface ReceivedEvent {
  /** The event's name. `message` if it has none. */
  readonly event: string
  /** The event's data, with its lines joined by LF. */
  readonly data: string
  /** The last event id at this event: its own id, or that of an earlier event. */
  readonly id: string
}

/** Callbacks of a parser, called in the order of the stream. */
export interface ParserListener {
  onEvent(event: ReceivedEvent): void
  onComment(text: string): void
  onRetry(ms: number): void
}

const LINE_END = /\r\n|\n|\r/

/** Parses an event stream as the HTML standard describes. Its chunks may be split at any byte. */
export class EventParser {
  /** [spec] Kept until an event changes it. */
  lastEventId: string
  readonly #listener: ParserListener
  // Node 24 removes two BOMs if they arrive in separate chunks, so the parser removes the BOM itself.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  #isStart = true
  #id: string
  #event = ''
  #data: string[] = []
  #rest = ''
  #endedWithCR = false

  constructor(listener: ParserListener, lastEventId = '') {
    this.#listener = listener
    this.lastEventId = lastEventId
    this.#id = lastEventId
  }

  feed(bytes: Uint8Array): void {
    const text = this.#withoutBom(this.#decoder.decode(bytes, { stream: true }))
    if (text === '') return
    // A CR ends its line immediately. If the next chunk begins with LF, that LF belongs to the same line end.
    const isSplitCRLF = this.#endedWithCR && text.startsWith('\n')
    this.#endedWithCR = text.endsWith('\r')
    const [first = '', ...others] = (isSplitCRLF ? text.slice(1) : text).split(LINE_END)
    const lines = [this.#rest + first, ...others]
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === '') this.#dispatch()
      else this.#readLine(line)
    }
  }

  // [spec] One BOM at the start is not part of the stream.
  #withoutBom(text: string): string {
    if (text === '' || !this.#isStart) return text
    this.#isStart = false
    return text.startsWith('\uFEFF') ? text.slice(1) : text
  }

  #readLine(line: string): void {
    const [, name = '', value = ''] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line) ?? []
    if (name === '') this.#listener.onComment(value)
    else if (name === 'event') this.#event = value
    else if (name === 'data') this.#data.push(value)
    // [spec] Ignore an id that contains NUL, and a retry with anything but ASCII digits.
    else if (name === 'id' && !value.includes('\0')) this.#id = value
    else if (name === 'retry' && /^[0-9]+$/.test(value)) this.#listener.onRetry(Number(value))
  }

  // [spec] An event without data is not dispatched, but its id becomes the last event id.
  #dispatch(): void {
    this.lastEventId = this.#id
    const [event, data] = [this.#event || 'message', this.#data]
    this.#event = ''
    this.#data = []
    if (data.length > 0) this.#listener.onEvent({ event, data: data.join('\n'), id: this.lastEventId })
  }
}
