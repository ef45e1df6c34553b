import { onTestFinished } from 'vitest'

/** An event of a feed. */
export interface FeedEvent {
  readonly id: string
  readonly data: string
}

const INTERVAL = 300

/** A log to which an event is appended every 300 ms. It ends with the test. */
export class Feed {
  readonly log: FeedEvent[] = []
  readonly #listeners = new Set<(event: FeedEvent) => void>()

  constructor() {
    for (let i = 0; i < 3; i++) this.#append()
    const timer = setInterval(() => this.#append(), INTERVAL)
    onTestFinished(() => clearInterval(timer))
  }

  /** Calls a listener with each event until the returned function is called. */
  listen(listener: (event: FeedEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The id of the newest event. */
  get newest(): string {
    return this.log.at(-1)?.id ?? ''
  }

  /** Returns the events after an id. All of them if the id is unknown, none without an id. */
  after(id: string | undefined): FeedEvent[] {
    return id ? this.log.slice(this.log.findIndex((event) => event.id === id) + 1) : []
  }

  #append(): void {
    const number = this.log.length + 1
    const event = { id: `e${number}`, data: `event ${number}` }
    this.log.push(event)
    for (const listener of this.#listeners) listener(event)
  }
}

/** Returns an event in the format of an event stream. */
export function textOf({ id, data }: FeedEvent): string {
  return `id: ${id}\ndata: ${data}\n\n`
}
