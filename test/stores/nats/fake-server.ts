import type { JetStreamClient, PubAck } from '@nats-io/jetstream'
import { vi } from 'vitest'
import type { NatsClient, NatsConnection } from '../../../src/stores/nats/client.ts'
import { ConnectionMonitor } from '../../../src/stores/nats/connection-monitor.ts'
import { Publisher } from '../../../src/stores/nats/publisher.ts'

export interface ServerState {
  readonly info?: object
  readonly replicas?: number
  readonly last?: number
}

/** Starts a publisher of a fake server, which responds to no message by itself. */
export function startPublisher() {
  const server = new FakeServer()
  const [link, trouble] = [new ConnectionMonitor(server.client.connection, () => {}), vi.fn()]
  const publisher = new Publisher(server.client, link, 5_000, trouble)
  return { server, trouble, publish: (text: string) => publisher.publish('log.a', text, `id of ${text}`) }
}

function infoOfStream({ last = 0, replicas = 1 }: ServerState) {
  return {
    created: '2026-01-01T00:00:00Z',
    state: { first_seq: Math.min(1, last), last_seq: last, bytes: 100 * last },
    config: {
      ...{ subjects: ['log.*'], retention: 'limits', discard: 'old', num_replicas: replicas },
      ...{ max_msgs_per_subject: -1, max_consumers: -1, duplicate_window: 120e9 },
    },
  }
}

type Callback = (error: null, message: object) => void

/** A connection and its server, as far as the parts use them. */
export class FakeServer {
  readonly published: string[] = []
  readonly answered: string[] = []
  readonly ids: unknown[] = []
  /** The timeouts of the published messages at the client, in ms. */
  readonly timeouts: number[] = []
  /** The pulls by their number of messages. */
  readonly pulls = new Map<number, { end(): void }>()
  config: unknown
  inbox = ''
  isSubscribed = false
  /** How many consumers were removed. */
  removed = 0
  /** Called when the stream is looked up. */
  onInfo: () => void = () => {}
  #callback: Callback = () => {}
  readonly #sent: string[] = []
  readonly #pending = new Map<string, { resolve(ack: PubAck): void; reject(error: unknown): void }>()
  readonly #state: ServerState
  readonly #reports: Array<(type: string) => void> = []

  constructor(state: ServerState = {}) {
    this.#state = state
  }

  get client(): NatsClient {
    const connection = {
      info: this.#state.info,
      options: { inboxPrefix: '_INBOX_mine' },
      isClosed: () => false,
      status: () => this.#statuses(),
      publish: (subject: string, payload = '', { reply = '' } = {}) => {
        this.published.push(subject)
        if (subject.includes('.CONSUMER.MSG.NEXT.')) this.#addPull(payload, reply)
      },
      subscribe: (inbox: string, { callback }: { callback: Callback }) => {
        Object.assign(this, { inbox, isSubscribed: true })
        this.#callback = callback
        return { unsubscribe: () => Object.assign(this, { isSubscribed: false }) }
      },
    }
    const consumers = {
      add: async (_: string, config: unknown) => Object.assign(this, { config }),
      delete: async () => {
        this.removed += 1
      },
    }
    const streams = {
      info: async () => {
        this.onInfo()
        return infoOfStream(this.#state)
      },
    }
    return {
      connection: connection as unknown as NatsConnection,
      manager: Promise.resolve({ consumers, streams } as never),
      jetstream: { publish: (...args: never[]) => this.#publish(...args) } as unknown as JetStreamClient,
    }
  }

  send(subject: string, text: string, reply: string, headers: Record<string, string> = {}): void {
    this.#callback(null, { subject, reply, headers: new Map(Object.entries(headers)), string: () => text })
  }

  say(headers: Record<string, string>, reply = ''): void {
    const respond = () => this.answered.push(reply)
    this.#callback(null, { subject: this.inbox, reply, headers: new Map(Object.entries(headers)), respond })
  }

  status(type: string): void {
    for (const report of this.#reports.splice(0)) report(type)
  }

  /** Returns the payloads sent since the last call. */
  sent(): string[] {
    return this.#sent.splice(0)
  }

  acknowledge(payload: string): void {
    this.#pending.get(payload)?.resolve({ seq: Number(payload), duplicate: false } as PubAck)
  }

  fail(payload: string, error: object): void {
    this.#pending.get(payload)?.reject(error)
  }

  #publish(
    _subject?: string,
    payload = '',
    options: { msgID?: string; timeout?: number } = {},
  ): Promise<PubAck> {
    this.#sent.push(payload)
    this.ids.push(options.msgID)
    this.timeouts.push(options.timeout ?? 0)
    return new Promise((resolve, reject) => this.#pending.set(payload, { resolve, reject }))
  }

  // Ends without messages.
  #addPull(payload: string, inbox: string): void {
    const callback = this.#callback
    const end = () => callback(null, { subject: inbox, headers: { code: 404 } })
    this.pulls.set(JSON.parse(payload).batch, { end })
  }

  async *#statuses() {
    for (;;) yield { type: await new Promise<string>((resolve) => this.#reports.push(resolve)) }
  }
}
