import { createParser } from 'eventsource-parser'
import type { Engine, EngineListener } from '../../src/client/engine.ts'
import { shareEngine } from '../../src/client/share.ts'

// Runs in a page. `tab` names the page, so that the server knows which page has a connection.

/** An event that a page has received. */
export interface Arrival {
  readonly id: number
  readonly publishedAt: number
  readonly arrivedAt: number
}

/** A connection that reads a stream with `fetch`, and connects again at once when it is lost. */
class StreamEngine implements Engine {
  lastEventId: string
  readonly #listener: EngineListener
  readonly #controller = new AbortController()

  constructor(listener: EngineListener, lastEventId: string) {
    this.lastEventId = lastEventId
    this.#listener = listener
    this.#run()
  }

  close(): void {
    this.#controller.abort()
  }

  async #run(): Promise<void> {
    const { signal } = this.#controller
    while (!signal.aborted) {
      await this.#read(signal).catch((error) => signal.aborted || this.#listener.onError(error, false))
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    const headers: Record<string, string> = this.lastEventId ? { 'last-event-id': this.lastEventId } : {}
    const { body } = await fetch(`/events${location.search}`, { headers, signal })
    if (!body) throw new Error('The response has no body.')
    this.#listener.onOpen({ transport: 'event-stream', reason: undefined })
    const decoder = new TextDecoder()
    const parser = createParser({
      onEvent: ({ id, event = 'message', data }) => {
        if (signal.aborted) return
        this.lastEventId = id ?? this.lastEventId
        if (event !== 'position') this.#listener.onEvent({ event, id: this.lastEventId, data })
      },
    })
    const reader = body.getReader()
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      if (signal.aborted) return
      parser.feed(decoder.decode(chunk.value, { stream: true }))
      if (!signal.aborted) this.#listener.onAlive?.()
    }
  }
}

declare const location: { readonly search: string }

/** The globals of the page. */
export interface SharePage {
  arrivals: Arrival[]
  engine: Engine
  /** Whether the page was restored from the back/forward cache. */
  isRestored: boolean
  addEventListener(type: 'pageshow', listener: (event: { readonly persisted: boolean }) => void): void
}

const page = globalThis as unknown as SharePage
page.arrivals = []
page.isRestored = false
page.addEventListener('pageshow', ({ persisted }) => {
  page.isRestored = persisted
})
page.engine = shareEngine(
  'prices',
  (listener, lastEventId) => new StreamEngine(listener, lastEventId),
  {
    onOpen() {},
    onEvent: ({ id, data }) =>
      page.arrivals.push({ id: Number(id), publishedAt: Number(data), arrivedAt: Date.now() }),
    onError() {},
    onEnd() {},
  },
  '',
)
