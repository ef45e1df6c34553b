/** An event of a feed. */
export interface FeedEvent {
  readonly id: number
  readonly data: string
  /** When it was published, in ms since the Unix epoch. */
  readonly time: number
}

/** Events that are published at an interval, all of which are kept. */
export class Feed {
  readonly events: FeedEvent[] = []
  readonly #readers = new Set<(event: FeedEvent) => void>()
  readonly #timer: NodeJS.Timeout | undefined

  /** `interval` in ms. Infinity: nothing is published. */
  constructor(interval: number) {
    if (interval === Number.POSITIVE_INFINITY) return
    this.#timer = setInterval(() => this.#publish(), interval)
  }

  get newestId(): number {
    return this.events.length
  }

  /** Returns the events after an id. Undefined if the id is not one of this feed. */
  after(text: string): FeedEvent[] | undefined {
    const id = /^\d+$/.test(text) ? Number(text) : Number.NaN
    return id <= this.newestId ? this.events.slice(id) : undefined
  }

  /** Calls the reader for each event from now on. Returns a function that ends this. */
  read(reader: (event: FeedEvent) => void): () => void {
    this.#readers.add(reader)
    return () => this.#readers.delete(reader)
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #publish(): void {
    const id = this.newestId + 1
    const event = { id, data: JSON.stringify({ id, text: 'An event of the feed' }), time: Date.now() }
    this.events.push(event)
    for (const reader of [...this.#readers]) reader(event)
  }
}
