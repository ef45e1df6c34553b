import { randomUUID } from 'node:crypto'
import type { ConsumerConfig } from '@nats-io/jetstream'
import type { NatsClient, NatsConnection } from './client.ts'

// So often the server says that it is there, in ms; and so many times it may be late.
const HEARTBEAT = 1_000
const MISSED = 3

type Subscription = ReturnType<NatsConnection['subscribe']>
type Message = Parameters<NonNullable<NonNullable<Parameters<NatsConnection['subscribe']>[1]>['callback']>>[1]

export interface StreamMessage {
  readonly sequence: number
  readonly subject: string
  readonly payload: string
  /** How many more there were when it was sent. */
  readonly pending: number
}

export interface ConsumerListener {
  onMessage(message: StreamMessage): void
  /** Nothing more is there, up to a sequence. */
  onIdle(upTo: number): void
  /** A message may be missing, or the consumer is gone: it is of no more use. Called once. */
  onBroken(): void
}

/**
 * An ordered consumer: the server pushes a stream from one sequence on to an inbox of this process, and forgets about it
 * when nobody listens any more. It says when it is broken, and does not mend itself: what was missed is not its business.
 */
export class OrderedConsumer {
  readonly #client: NatsClient
  readonly #stream: string
  readonly #listener: ConsumerListener
  readonly #name = `spillway_${randomUUID()}`
  readonly #inbox: string
  #subscription: Subscription | undefined
  #watchdog: NodeJS.Timeout | undefined
  #delivered = 0
  #missed = 0
  #isStopped = false

  constructor(client: NatsClient, stream: string, listener: ConsumerListener) {
    this.#client = client
    this.#stream = stream
    this.#listener = listener
    this.#inbox = `${inboxPrefixOf(client.connection)}.${this.#name}`
  }

  /** Has the server begin after a sequence. It sends nothing before somebody listens. */
  async create(after: number): Promise<void> {
    const { consumers } = await this.#client.manager
    await consumers.add(this.#stream, configOf(this.#name, this.#inbox, after))
  }

  /** Tells what the server sends from now on. */
  listen(): void {
    if (this.#isStopped) return
    this.#subscription = this.#client.connection.subscribe(this.#inbox, {
      callback: (error, message) => {
        if (error) this.#break()
        else this.#onMessage(message)
      },
    })
    this.#watchdog = setInterval(() => this.#countMissed(), HEARTBEAT)
  }

  /** Tells nothing more. The server drops the consumer within seconds; who cannot wait has it removed. */
  stop(): void {
    this.#isStopped = true
    clearInterval(this.#watchdog)
    this.#subscription?.unsubscribe()
    this.#subscription = undefined
  }

  async remove(): Promise<void> {
    this.stop()
    const { consumers } = await this.#client.manager
    await consumers.delete(this.#stream, this.#name)
  }

  #countMissed(): void {
    this.#missed += 1
    if (this.#missed > MISSED) this.#break()
  }

  #break(): void {
    if (this.#isStopped) return
    this.stop()
    this.#listener.onBroken()
  }

  #onMessage(message: Message): void {
    if (this.#isStopped) return
    this.#missed = 0
    // What is of the stream has its own subject: nobody can forge what the server says about itself.
    if (message.subject === this.#inbox) this.#onStatus(message)
    else this.#onStreamMessage(message)
  }

  #onStreamMessage(message: Message): void {
    const { sequence, delivered, pending } = parseReply(message.reply ?? '')
    this.#delivered += 1
    if (delivered !== this.#delivered) this.#break()
    else this.#listener.onMessage({ sequence, subject: message.subject, payload: message.string(), pending })
  }

  /** Answers what asks whether we keep up, and compares what the server has sent with what came. */
  #onStatus(message: Message): void {
    const { headers } = message
    const delivered = headers?.get('Nats-Last-Consumer')
    // It asked, and got no answer: it has more, and waits.
    const stalled = headers?.get('Nats-Consumer-Stalled')
    if (message.reply) message.respond()
    else if (delivered && Number(delivered) !== this.#delivered) this.#break()
    else if (stalled) this.#client.connection.publish(stalled)
    else if (delivered) this.#listener.onIdle(Number(headers?.get('Nats-Last-Stream')))
  }
}

function configOf(name: string, inbox: string, after: number): ConsumerConfig {
  return {
    name,
    deliver_subject: inbox,
    deliver_policy: 'by_start_sequence',
    opt_start_seq: after + 1,
    ack_policy: 'none',
    max_deliver: 1,
    replay_policy: 'instant',
    flow_control: true,
    idle_heartbeat: HEARTBEAT * 1_000_000,
    mem_storage: true,
    num_replicas: 1,
  } as ConsumerConfig
}

// Who may listen only to inboxes of his own has told his connection so.
function inboxPrefixOf(connection: NatsConnection): string {
  const { options } = connection as { options?: { inboxPrefix?: string } }
  return options?.inboxPrefix ?? '_INBOX'
}

// `$JS.ACK.<stream>.<consumer>.<times>.<sequence>.<delivered>.<time>.<pending>`, or with a domain and an account before
// the stream, and more at the end.
function parseReply(reply: string): { sequence: number; delivered: number; pending: number } {
  const tokens = reply.split('.')
  const first = tokens.length === 9 ? 5 : 7
  const [sequence, delivered, , pending] = tokens.slice(first).map(Number)
  return { sequence: Number(sequence), delivered: Number(delivered), pending: Number(pending) }
}
