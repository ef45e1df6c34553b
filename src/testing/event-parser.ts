// The global one is undefined in Jest's jsdom environment.
import { TextDecoder } from 'node:util'

/** An event as a browser dispatches it. */
export interface ReceivedEvent {
  /** Its name: `message` if it has none. */
  readonly event: string
  /** Its text. Several lines are joined by LF. */
  readonly data: string
  /** The last event id when it came: its own, or that of an event before. */
  readonly id: string
}

/** What a parser tells, in the order of the stream. */
export interface ParserListener {
  onEvent(event: ReceivedEvent): void
  onComment(text: string): void
  onRetry(ms: number): void
}

const LINE_END = /\r\n|\n|\r/

/** Reads an event stream piece by piece, as the HTML standard has it. The pieces may be cut anywhere. */
export class EventParser {
  /** [spec] Stays until it is set again. */
  lastEventId: string
  readonly #listener: ParserListener
  // Node 24 takes two BOMs away when they come in pieces: it is left to us.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  #isBeginning = true
  #id: string
  #event = ''
  #data: string[] = []
  #rest = ''
  #isAfterCR = false

  constructor(listener: ParserListener, lastEventId = '') {
    this.#listener = listener
    this.lastEventId = lastEventId
    this.#id = lastEventId
  }

  feed(bytes: Uint8Array): void {
    const text = this.#withoutBom(this.#decoder.decode(bytes, { stream: true }))
    if (text === '') return
    // A CR ends its line at once; the LF of a CRLF may come in the next piece.
    const isSplit = this.#isAfterCR && text.startsWith('\n')
    this.#isAfterCR = text.endsWith('\r')
    const [first = '', ...others] = (isSplit ? text.slice(1) : text).split(LINE_END)
    const lines = [this.#rest + first, ...others]
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === '') this.#dispatch()
      else this.#take(line)
    }
  }

  // [spec] One BOM at the beginning is no part of the stream.
  #withoutBom(text: string): string {
    if (text === '' || !this.#isBeginning) return text
    this.#isBeginning = false
    return text.startsWith('\uFEFF') ? text.slice(1) : text
  }

  #take(line: string): void {
    const [, name = '', value = ''] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line) ?? []
    if (name === '') this.#listener.onComment(value)
    else if (name === 'event') this.#event = value
    else if (name === 'data') this.#data.push(value)
    // [spec] An id with NUL is ignored, and so is a retry that is not all digits.
    else if (name === 'id' && !value.includes('\0')) this.#id = value
    else if (name === 'retry' && /^[0-9]+$/.test(value)) this.#listener.onRetry(Number(value))
  }

  // [spec] Without data nothing is dispatched, but the id counts.
  #dispatch(): void {
    this.lastEventId = this.#id
    const [event, data] = [this.#event || 'message', this.#data]
    this.#event = ''
    this.#data = []
    if (data.length > 0) this.#listener.onEvent({ event, data: data.join('\n'), id: this.lastEventId })
  }
}
