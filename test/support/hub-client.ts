import type { Hub } from '../../src/hub.ts'
import { resolveOptions, type SseStreamOptions } from '../../src/options.ts'
import { SseStream } from '../../src/stream.ts'
import type { SubscribeOptions } from '../../src/subscription.ts'
import { FakeTransport } from './fake-transport.ts'

export interface Seen {
  event: string
  data: string
  id: string
}

/**
 * A client as the HTML standard has it, over a transport that a test cuts at any byte. It remembers the last event id of
 * what it has read whole, and comes back with it.
 */
export class HubClient {
  readonly seen: Seen[] = []
  stream: SseStream | undefined
  transport = new FakeTransport()
  lastEventId = ''
  readonly #hub: Hub
  readonly #channels: readonly string[]
  readonly #options: SubscribeOptions

  constructor(hub: Hub, channels: readonly string[], options: SubscribeOptions = {}) {
    this.#hub = hub
    this.#channels = channels
    this.#options = options
  }

  connect(options: SseStreamOptions = {}): SseStream {
    this.transport = new FakeTransport()
    const position = this.lastEventId === '' ? 'new' : { id: this.lastEventId }
    this.stream = SseStream._open(this.transport, resolveOptions({ heartbeat: 0, ...options }), position)
    this.#hub.subscribe(this.stream, this.#channels, this.#options)
    return this.stream
  }

  /** Reads what was sent on this connection up to a share of its bytes, and loses the connection. */
  cut(share = 1): void {
    if (!this.stream) return
    const sent = this.transport.writes.join('')
    this.#read(sent.slice(0, Math.floor(sent.length * share)))
    this.stream = undefined
    this.transport.lose()
  }

  /** What was seen since the last connection began is read at `cut`; the data of all that was seen. */
  get data(): string[] {
    return this.seen.map((each) => each.data)
  }

  // [spec] A block counts when its blank line has come; its id stays for the next connection.
  #read(body: string): void {
    for (const block of body.split('\n\n').slice(0, -1)) {
      const fields = Object.fromEntries(
        block
          .split('\n')
          .flatMap((line) => (line.startsWith(':') ? [] : [line.split(/: (.*)/s).slice(0, 2)])),
      ) as Record<string, string>
      if (fields.id !== undefined) this.lastEventId = fields.id
      const event = fields.data === undefined ? 'checkpoint' : (fields.event ?? 'message')
      this.seen.push({ event, data: fields.data ?? '', id: this.lastEventId })
    }
  }
}
