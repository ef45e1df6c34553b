// The global `TextDecoder` is undefined in Jest's jsdom environment.
import { TextDecoder } from 'node:util'
import type { ParserListener } from './event-parser.ts'

interface Line {
  readonly events?: unknown
  readonly event?: unknown
  readonly id?: string
  readonly lastEventId?: string | null
  readonly data?: unknown
  readonly retry?: number
}

/** Parses NDJSON, and the response to a long poll, which is one line of JSON. Other lines are skipped. */
export class LinesParser {
  lastEventId: string
  readonly #listener: ParserListener
  readonly #decoder = new TextDecoder()
  #rest = ''

  constructor(listener: ParserListener, lastEventId = '') {
    this.#listener = listener
    this.lastEventId = lastEventId
  }

  feed(bytes: Uint8Array): void {
    const lines = `${this.#rest}${this.#decoder.decode(bytes, { stream: true })}`.split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === '') this.#listener.onComment('')
      else this.#read(parsed(line))
    }
  }

  #read({ events, event, id, lastEventId = id, data, retry }: Line): void {
    if (Array.isArray(events)) for (const each of events) this.#read(Object(each))
    this.lastEventId = lastEventId ?? this.lastEventId
    if (typeof event === 'string' && data !== undefined)
      this.#listener.onEvent({ event, data: textOf(data), id: this.lastEventId })
    if (typeof retry === 'number') this.#listener.onRetry(retry)
  }
}

function parsed(line: string): Line {
  try {
    return Object(JSON.parse(line))
  } catch {
    return {}
  }
}

// Returns the data as text, as an event stream contains it.
function textOf(data: unknown): string {
  return typeof data === 'string' ? data : JSON.stringify(data)
}
