import { resolveOptions, type SseStreamOptions } from '../../src/http/options.ts'
import type { Hub } from '../../src/hub/hub.ts'
import type { SubscribeOptions } from '../../src/hub/subscription.ts'
import { SseStream } from '../../src/stream/stream.ts'
import { FakeTransport } from './fake-transport.ts'

export interface Seen {
  event: string
  data: string
  id: string
}

/**
 * A client as the HTML standard has it, over a transport that a test cuts at any byte. It remembers the last event id of
 * what it has read whole, and comes back with it, to the channels that it follows by then.
 */
export class HubClient {
  readonly seen: Seen[] = []
  stream: SseStream | undefined
  transport = new FakeTransport()
  lastEventId = ''
  readonly #hub: Hub
  readonly #options: SubscribeOptions
  // The channels that it follows, and how it leaves them.
  readonly #leaves = new Map<string, () => void>()

  constructor(hub: Hub, channels: readonly string[], options: SubscribeOptions = {}) {
    this.#hub = hub
    this.#options = options
    for (const channel of channels) this.#leaves.set(channel, () => {})
  }

  /** What it follows. */
  get channels(): string[] {
    return [...this.#leaves.keys()]
  }

  connect(options: SseStreamOptions = {}): SseStream {
    this.transport = new FakeTransport()
    const position = this.lastEventId === '' ? 'new' : { id: this.lastEventId }
    this.stream = SseStream._open(this.transport, resolveOptions({ heartbeat: 0, ...options }), position)
    for (const channel of this.channels) this.#subscribe(this.stream, channel)
    return this.stream
  }

  /** Follows a channel on the stream that it has, or from the next one on. */
  follow(channel: string): void {
    const leaveBefore = this.#leaves.get(channel)
    this.#leaves.set(channel, () => {})
    if (this.stream) this.#subscribe(this.stream, channel)
    // What is followed anew is not left by what undoes the first time.
    leaveBefore?.()
  }

  leave(channel: string): void {
    this.#leaves.get(channel)?.()
    this.#leaves.delete(channel)
  }

  /** Reads what was sent on this connection up to a share of its bytes, and loses the connection. Returns what it read. */
  cut(share = 1): Seen[] {
    if (!this.stream) return []
    const sent = this.transport.writes.join('')
    const seen = this.#read(sent.slice(0, Math.floor(sent.length * share)))
    this.seen.push(...seen)
    this.stream = undefined
    this.transport.lose()
    return seen
  }

  /** What was seen since the last connection began is read at `cut`; the data of all that was seen. */
  get data(): string[] {
    return this.seen.map((each) => each.data)
  }

  #subscribe(stream: SseStream, channel: string): void {
    this.#leaves.set(channel, this.#hub.subscribe(stream, [channel], this.#options))
  }

  // [spec] A block counts when its blank line has come; its id stays for the next connection.
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
