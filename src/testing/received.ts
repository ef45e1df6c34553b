import { TextDecoder } from 'node:util'
import { EventParser, type ReceivedEvent } from './event-parser.ts'
import { LinesParser } from './lines-parser.ts'

// Limits of what an error message shows.
const SHOWN_EVENTS = 10
const SHOWN_CHARACTERS = 100

/** Everything that one client has received so far. */
export class ReceivedStream {
  readonly events: ReceivedEvent[] = []
  readonly comments: string[] = []
  retry: number | undefined
  readonly #parser: EventParser | LinesParser
  readonly #positions: boolean
  // The first bytes of a body that begins with an empty comment.
  readonly #preamble: string
  // Shown in an error message if the body is not an event stream.
  #start = ''
  #hasComments = false

  /** With `positions`, `events` also contains the events that report only a position. */
  constructor(lastEventId: string, positions = false, contentType = '') {
    const isLines = /^application\/(json|ndjson|x-ndjson|jsonl)\b/i.test(contentType)
    this.#positions = positions
    this.#preamble = isLines ? '\n' : ':'
    this.#parser = isLines ? new LinesParser(this, lastEventId) : new EventParser(this, lastEventId)
  }

  get lastEventId(): string {
    return this.#parser.lastEventId
  }

  feed(bytes: Uint8Array): void {
    if (this.#start.length < SHOWN_CHARACTERS)
      this.#start += new TextDecoder().decode(bytes.subarray(0, SHOWN_CHARACTERS))
    this.#parser.feed(bytes)
  }

  onEvent(event: ReceivedEvent): void {
    if (this.#positions || !isPosition(event)) this.events.push(event)
  }

  onRetry(ms: number): void {
    this.retry = ms
  }

  // A stream may start with an empty comment, so that proxies forward the headers, and with its interval of heartbeats.
  onComment(text: string): void {
    const isPreamble = this.#hasComments
      ? isInterval(text)
      : text === '' && this.#start.startsWith(this.#preamble)
    this.#hasComments = true
    if (!isPreamble || this.events.length > 0) this.comments.push(text)
  }

  /** Returns a summary of a few lines for an error message. */
  toString(): string {
    const { length } = this.events
    if (this.#start === '') return 'Nothing was received.'
    const received = `Received ${counted(length, 'event')} and ${counted(this.comments.length, 'comment')}`
    if (length === 0) return `${received}. The body starts with ${short(this.#start)}`
    const hidden = length > SHOWN_EVENTS ? [`  … ${length - SHOWN_EVENTS} more`] : []
    return [`${received}:`, ...hidden, ...this.events.slice(-SHOWN_EVENTS).map(lineOf)].join('\n')
  }
}

function isPosition({ event, data, id }: ReceivedEvent): boolean {
  return event === 'position' && data === '{}' && id !== ''
}

function lineOf({ event, data, id }: ReceivedEvent): string {
  return `  ${event} ${short(data)}${id === '' ? '' : ` (id ${short(id)})`}`
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

function short(text: string): string {
  return JSON.stringify(text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text)
}

function isInterval(comment: string): boolean {
  return /^heartbeat \d+$/.test(comment)
}
