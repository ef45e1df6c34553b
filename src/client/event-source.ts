import type { ConnectOptions } from './connect.ts'
import type { Engine, EngineListener, ReceivedEvent, StartEngine } from './engine.ts'
import { NetworkEngine } from './network-engine.ts'
import { absolute, type RequestUrl } from './request.ts'
import { readItem, writeItem } from './session.ts'

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
  // The key of the stored id, or empty.
  readonly #cursor: string
  // Undefined until the code for shared connections has been loaded.
  #engine: Engine | undefined
  // The events of each loop, from the one that it has yielded last. The events of a loop that has exited are kept.
  readonly #queues: ReceivedEvent[][] = []
  readonly #waiting: Array<() => void> = []
  // The id of the event that is dispatched, or in whose listener the connection was closed. The engine may be ahead.
  #eventId: string | undefined
  #error: unknown
  // The transport that was reported last, and its reason.
  #transport: string | undefined
  readonly #lifetime = new AbortController()

  constructor(url: RequestUrl, options: ConnectOptions) {
    super()
    const { lastEventId, persist, share, signal } = options
    this.#options = options
    this.url = url instanceof Function ? '' : absolute(url).href
    // Without a URL, the keys of different streams would be the same.
    if (!this.url && [share, persist].includes(true))
      throw new TypeError('share and persist must be names for a function.')
    this.#cursor = persist ? `cursor:${persist === true ? this.url : persist}` : ''
    for (const type of ['open', 'message', 'error'] as const)
      this.addEventListener(type, (event) => this[`on${type}`]?.(event))
    const start: StartEngine = (listener, id) => new NetworkEngine(url, options, listener, id)
    const begin = (run: StartEngine) => {
      if (this.readyState === 2) return
      this.#engine = run(this.#listener(), lastEventId ?? readItem(this.#cursor))
      this.#save()
    }
    // Most pages do not share a connection, so they do not load this code.
    if (share)
      import('./share.ts')
        .then(
          ({ shareEngine }) => shareEngine(`${share} ${this.url}`, start),
          () => start,
        )
        .then(begin)
    else begin(start)
    signal?.addEventListener('abort', () => this.close(), { signal: this.#lifetime.signal })
    if (signal?.aborted) this.close()
  }

  get lastEventId(): string {
    return this.#eventId ?? this.#engine?.lastEventId ?? ''
  }

  close(): void {
    this.#end()
    this.#engine?.close()
  }

  [Symbol.asyncIterator](): AsyncGenerator<unknown, void> {
    const loop = this.#loop()
    const end = loop.return
    loop.return = (value) => {
      // A generator waits for its pending promise, which is resolved when the connection is closed.
      this.close()
      return end.call(loop, value)
    }
    return loop
  }

  async *#loop(): AsyncGenerator<unknown, void> {
    const { deserialize = parseJson } = this.#options
    const queue: ReceivedEvent[] = []
    this.#queues.push(queue)
    try {
      while (queue.length || this.readyState < 2) {
        const [event] = queue
        this.#reportBacklog()
        if (event) {
          yield { ...event, data: deserialize(event.data) }
          queue.shift()
          this.#save(queue.length, event.id)
        } else await new Promise<void>((resolve) => this.#waiting.push(resolve))
      }
      if (this.#error) throw this.#error
    } finally {
      this.close()
    }
  }

  #listener(): EngineListener {
    const origin = this.url && new URL(this.url).origin
    return {
      onOpen: (change) => {
        const state = this.readyState
        const name = JSON.stringify(change)
        this.readyState = 1
        if (!state) this.#emit('open')
        if (this.readyState < 2 && name !== this.#transport) this.#emit('transport', change)
        this.#transport = name
      },
      onEvent: (event) => {
        for (const queue of this.#queues) queue.push(event)
        this.#wake()
        this.#eventId = event.id
        this.#emit(event.event, { data: event.data, lastEventId: event.id, origin })
        if (this.readyState < 2) this.#eventId = undefined
        this.#reportBacklog()
      },
      onError: (error, isFinal) => {
        this.readyState = 0
        if (isFinal) this.#end(error)
        this.#emit('error', { error })
      },
      onAlive: () => this.#save(),
    }
  }

  /** Stores the last id that every loop has consumed. It is `id` if `left` events remain in the slowest loop. */
  #save(left = 0, id?: string): void {
    if (this.#cursor && this.#engine && this.#backlog <= left)
      writeItem(this.#cursor, left ? (id as string) : this.lastEventId)
  }

  get #backlog(): number {
    return Math.max(0, ...this.#queues.map((queue) => queue.length))
  }

  #reportBacklog(): void {
    // The first event of a queue does not wait.
    this.#engine?.setBacklog?.(this.#backlog - 1)
  }

  #end(error?: unknown): void {
    // Afterwards, another connection may have stored a newer id.
    if (this.readyState < 2) this.#save()
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

/** Returns the value of JSON, or the text itself if it is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
