import { TextDecoder } from 'node:util'
import { EventParser, type ReceivedEvent } from './event-parser.ts'

// How much of it a message shows.
const EVENTS = 10
const CHARACTERS = 100

/** What one client has received so far. */
export class ReceivedStream {
  readonly events: ReceivedEvent[] = []
  readonly comments: string[] = []
  retry: number | undefined
  readonly #parser: EventParser
  // The first of the body, for a message about one that is no event stream.
  #start = ''
  #hasComments = false

  constructor(lastEventId: string) {
    this.#parser = new EventParser(this, lastEventId)
  }

  get lastEventId(): string {
    return this.#parser.lastEventId
  }

  feed(bytes: Uint8Array): void {
    if (this.#start.length < CHARACTERS)
      this.#start += new TextDecoder().decode(bytes.subarray(0, CHARACTERS))
    this.#parser.feed(bytes)
  }

  onEvent(event: ReceivedEvent): void {
    this.events.push(event)
  }

  onRetry(ms: number): void {
    this.retry = ms
  }

  // A stream may open with an empty comment, for proxies: a test that waits for a heartbeat must not take it for one.
  onComment(text: string): void {
    const isOpening = !this.#hasComments && text === '' && this.#start.startsWith(':')
    this.#hasComments = true
    if (!isOpening) this.comments.push(text)
  }

  /** What came, in a few lines. */
  toString(): string {
    const { length } = this.events
    const counts = `${counted(length, 'event')} and ${counted(this.comments.length, 'comment')} came`
    if (length === 0)
      return this.#start === '' ? 'Nothing came.' : `${counts}. The body began: ${short(this.#start)}`
    const left = length > EVENTS ? [`  … ${length - EVENTS} more`] : []
    return [`${counts}:`, ...left, ...this.events.slice(-EVENTS).map(lineOf)].join('\n')
  }
}

function lineOf({ event, data, id }: ReceivedEvent): string {
  return `  ${event} ${short(data)}${id === '' ? '' : ` (id ${short(id)})`}`
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

function short(text: string): string {
  return JSON.stringify(text.length > CHARACTERS ? `${text.slice(0, CHARACTERS)}…` : text)
}
