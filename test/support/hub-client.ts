import { resolveOptions, type SseStreamOptions } from '../../src/http/options.ts'
import type { Hub } from '../../src/hub/hub.ts'
import type { SubscribeOptions } from '../../src/hub/subscribe-options.ts'
import { SseStream } from '../../src/stream/stream.ts'
import { FakeTransport } from './fake-transport.ts'

export interface Seen {
  event: string
  data: string
  id: string
}

/**
 * A client that behaves as the HTML standard requires, over a transport that a test can cut at any byte. It remembers
 * the id of the last complete event and sends it when it reconnects to its present channels.
 */
export class HubClient {
  readonly seen: Seen[] = []
  stream: SseStream | undefined
  transport = new FakeTransport()
  lastEventId = ''
  readonly #hub: Hub
  readonly #options: SubscribeOptions
  readonly #laterOptions: SubscribeOptions
  // The functions that unsubscribe from a channel, by channel.
  readonly #unsubscribes = new Map<string, () => void>()

  constructor(hub: Hub, channels: readonly string[], options: SubscribeOptions = {}) {
    this.#hub = hub
    this.#options = options
    this.#laterOptions = { ...options, from: undefined }
    for (const channel of channels) this.#unsubscribes.set(channel, () => {})
  }

  /** The channels that it is subscribed to. */
  get channels(): string[] {
    return [...this.#unsubscribes.keys()]
  }

  connect(options: SseStreamOptions = {}): SseStream {
    this.transport = new FakeTransport()
    const position = this.lastEventId === '' ? 'new' : { id: this.lastEventId }
    this.stream = SseStream._open(this.transport, resolveOptions({ heartbeat: 0, ...options }), position)
    // `from` applies to the first channels only.
    for (const channel of this.channels) this.#subscribe(this.stream, channel, this.#options)
    return this.stream
  }

  /** Subscribes to a channel on the present stream, or on the next one. */
  subscribe(channel: string): void {
    const unsubscribeBefore = this.#unsubscribes.get(channel)
    this.#unsubscribes.set(channel, () => {})
    if (this.stream) this.#subscribe(this.stream, channel, this.#laterOptions)
    // The function of an earlier subscription MUST NOT end the new one.
    unsubscribeBefore?.()
  }

  unsubscribe(channel: string): void {
    this.#unsubscribes.get(channel)?.()
    this.#unsubscribes.delete(channel)
  }

  /** Reads a share of the bytes that were sent on this connection, and cuts it. Returns the events that it read. */
  cut(share = 1): Seen[] {
    if (!this.stream) return []
    const sent = this.transport.all.join('')
    const seen = this.#read(sent.slice(0, Math.floor(sent.length * share)))
    this.seen.push(...seen)
    this.stream = undefined
    this.transport.lose()
    return seen
  }

  /** The data of all events that it read, without positions. The events of a connection are read by `cut`. */
  get data(): string[] {
    return this.seen.filter(({ event }) => event !== 'position').map(({ data }) => data)
  }

  #subscribe(stream: SseStream, channel: string, options: SubscribeOptions): void {
    this.#unsubscribes.set(channel, this.#hub.subscribe(stream, [channel], options))
  }

  // [spec] An event is dispatched at its blank line. Its id is kept for the next connection.
  #read(body: string): Seen[] {
    const seen: Seen[] = []
    for (const block of body.split('\n\n').slice(0, -1)) {
      const fields = Object.fromEntries(
        block
          .split('\n')
          .flatMap((line) => (line.startsWith(':') ? [] : [line.split(/: (.*)/s).slice(0, 2)])),
      ) as Record<string, string>
      if (fields.id !== undefined) this.lastEventId = fields.id
      const event = fields.data === undefined ? 'checkpoint' : (fields.event ?? 'message')
      seen.push({ event, data: fields.data ?? '', id: this.lastEventId })
    }
    return seen
  }
}
