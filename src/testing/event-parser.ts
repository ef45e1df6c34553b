import { StreamLines } from './stream-lines.ts'

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

/** Parses an event stream as the HTML standard describes. Its chunks may be split at any byte. */
export class EventParser {
  /** [spec] Kept until an event changes it. */
  lastEventId: string
  readonly #listener: ParserListener
  readonly #lines = new StreamLines()
  #id: string
  #event = ''
  #data: string[] = []

  constructor(listener: ParserListener, lastEventId = '') {
    this.#listener = listener
    this.lastEventId = lastEventId
    this.#id = lastEventId
  }

  feed(bytes: Uint8Array): void {
    for (const line of this.#lines.feed(bytes)) {
      if (line === '') this.#dispatch()
      else this.#readLine(line)
    }
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
