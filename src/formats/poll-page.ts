const LINE_END = 10
const COMMA = Buffer.from(',')

// The first letter after `{"` in a line that is an event. A heartbeat is an empty line.
const EVENT = 'e'.charCodeAt(0)

/** The limits of a page. */
export interface PageLimits {
  readonly events: number
  /** Bytes of the events, with the ends of their lines. */
  readonly bytes: number
}

const UNLIMITED: PageLimits = { events: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY }

/** The lines of NDJSON that were collected for a long poll, as one response. */
export class PollPage {
  /** Whether a limit ended the page. A full page never changes. */
  readonly isFull: boolean
  /** The cursor of the next request. Undefined if no line has an id. */
  readonly lastEventId: string | undefined
  readonly #lines: Buffer[] = []
  readonly #events: Buffer[] = []
  #end = ''
  #body: Buffer | undefined

  /** Lines after the limit are left out, so that the page is the same however many follow. */
  constructor(text: Buffer, limits = UNLIMITED) {
    let bytes = 0
    const hasReachedLimit = () => this.#events.length >= limits.events || bytes >= limits.bytes
    for (let start = 0; start < text.length && !hasReachedLimit(); ) {
      const end = text.indexOf(LINE_END, start)
      const line = text.subarray(start, end)
      start = end + 1
      if (line.length > 0) this.#lines.push(line)
      if (line[2] !== EVENT) continue
      bytes += line.length + 1
      this.#events.push(line)
    }
    this.isFull = hasReachedLimit()
    this.lastEventId = lastValue('id', this.#lines) as string | undefined
  }

  get isEmpty(): boolean {
    return this.#events.length === 0
  }

  /** The last reconnection time that is a line of its own, in ms. */
  get retry(): number | undefined {
    return lastValue(
      'retry',
      this.#lines.filter((line) => line[2] !== EVENT),
    ) as number | undefined
  }

  /**
   * Returns the body of the response, one line of JSON. `retry` is the time until the next request of the client, in
   * ms. The same arguments return the same buffer.
   */
  body(lastEventId: string | undefined, retry: number): Buffer {
    const end = `],"lastEventId":${JSON.stringify(lastEventId ?? null)},"retry":${retry}}\n`
    if (this.#body && end === this.#end) return this.#body
    const parts = this.#events.flatMap((event, index) => (index === 0 ? event : [COMMA, event]))
    this.#end = end
    this.#body = Buffer.concat([Buffer.from('{"events":['), ...parts, Buffer.from(end)])
    return this.#body
  }
}

// Returns the last value of a field, which is nearly always that of the last line.
function lastValue(field: string, lines: readonly Buffer[]): unknown {
  for (const line of lines.toReversed()) {
    const value = JSON.parse(line.toString())[field]
    if (value !== undefined) return value
  }
  return undefined
}
