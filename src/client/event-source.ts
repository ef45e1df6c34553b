import type { ConnectOptions } from './connect.ts'
import type { Engine, EngineListener, ReceivedEvent, StartEngine } from './engine.ts'
import { NetworkEngine } from './network-engine.ts'
import { absolute, type RequestUrl } from './request.ts'
import { recall, remember } from './session.ts'

type Handler = ((event: Event) => void) | null

/** The surface of a connection: dispatches what an engine reports, as an `EventSource` does, and to iterators. */
export class SseEventSource extends EventTarget {
  readonly CONNECTING = 0
  readonly OPEN = 1
  readonly CLOSED = 2
  readyState = 0
  declare readonly url: string
  onopen: Handler = null
  onmessage: Handler = null
  onerror: Handler = null
  readonly #options: ConnectOptions
  // Undefined until the code for shared connections has been loaded.
  #engine: Engine | undefined
  readonly #queues = new Set<ReceivedEvent[]>()
  readonly #waiting: Array<() => void> = []
  #error: unknown
  // The transport that was reported last, and its reason.
  #transport: string | undefined
  readonly #lifetime = new AbortController()

  constructor(url: RequestUrl, options: ConnectOptions) {
    super()
    const { lastEventId, persist, share, signal } = options
    this.#options = options
    this.url = url instanceof Function ? '' : absolute(url).href
    const cursor = persist ? `cursor:${persist === true ? this.url : persist}` : ''
    for (const type of ['open', 'message', 'error'] as const)
      this.addEventListener(type, (event) => this[`on${type}`]?.(event))
    const start: StartEngine = (listener, id) => new NetworkEngine(url, options, listener, id)
    const begin = (run: StartEngine) => {
      if (this.readyState < 2) this.#engine = run(this.#listener(cursor), lastEventId ?? recall(cursor))
    }
    // Most pages do not share, so that they do not load the code for it.
    if (share)
      import('./share.ts').then(
        ({ shareEngine }) => begin(shareEngine(`${share} ${this.url}`, start)),
        () => begin(start),
      )
    else begin(start)
    signal?.addEventListener('abort', () => this.close(), { signal: this.#lifetime.signal })
    if (signal?.aborted) this.close()
  }

  get lastEventId(): string {
    return this.#engine?.lastEventId ?? ''
  }

  close(): void {
    this.#engine?.close()
    this.#end()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void> {
    const { deserialize = parseJson } = this.#options
    const queue: ReceivedEvent[] = []
    this.#queues.add(queue)
    try {
      while (queue.length || this.readyState < 2) {
        const event = queue.shift()
        this.#reportBacklog()
        if (event) yield { ...event, data: deserialize(event.data) }
        else await new Promise<void>((resolve) => this.#waiting.push(resolve))
      }
      if (this.#error) throw this.#error
    } finally {
      this.#queues.delete(queue)
      this.close()
    }
  }

  #listener(cursor: string): EngineListener {
    const origin = this.url && new URL(this.url).origin
    return {
      onOpen: (change) => {
        const state = this.readyState
        const name = JSON.stringify(change)
        this.readyState = 1
        if (!state) this.#emit('open')
        if (name !== this.#transport) this.#emit('transport', change)
        this.#transport = name
      },
      onEvent: (event) => {
        for (const queue of this.#queues) queue.push(event)
        this.#wake()
        this.#emit(event.event, { data: event.data, lastEventId: event.id, origin })
        this.#reportBacklog()
      },
      onError: (error, isFinal) => {
        this.readyState = 0
        if (isFinal) this.#end(error)
        this.#emit('error', { error })
      },
      onAlive: () => cursor && remember(cursor, this.lastEventId),
    }
  }

  #reportBacklog(): void {
    this.#engine?.setBacklog?.(Math.max(0, ...[...this.#queues].map((queue) => queue.length)))
  }

  #end(error?: unknown): void {
    this.readyState = 2
    this.#lifetime.abort()
    this.#error ??= error
    this.#wake()
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  #emit(type: string, properties?: object): void {
    this.dispatchEvent(Object.assign(new Event(type), properties))
  }
}

/** Returns the value of JSON, or the text itself if it is none. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
