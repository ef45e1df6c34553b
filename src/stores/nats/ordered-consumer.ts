import { randomUUID } from 'node:crypto'
import { atTurnEnd } from '../../scheduler/turn.ts'
import type { NatsClient } from './client.ts'
import { consumerAfter, inboxOf, type Subscription } from './consumer.ts'
import { type Message, parseReply, type StreamMessage, streamMessageOf } from './stream-message.ts'

// How often the server sends a heartbeat, in ms, and how many may be missing.
const HEARTBEAT = 1_000
const MAX_MISSED = 3

export interface ConsumerListener {
  onMessage(message: StreamMessage): void
  /** Called when there are no further messages up to a sequence. */
  onIdle(upTo: number): void
  /** Called once and last, when a message may be missing or the server has dropped the consumer. */
  onBroken(): void
}

/**
 * An ordered consumer, for which the server pushes the messages after a sequence to an inbox of this process. It does
 * not recover itself. Its owner creates another one after `onBroken`. The server drops a consumer without a
 * subscription.
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
    this.#inbox = inboxOf(client.connection, this.#name)
  }

  /** Creates the consumer after a sequence. The server sends no message before `listen`. */
  async create(after: number): Promise<void> {
    const { consumers } = await this.#client.manager
    await consumers.add(this.#stream, {
      ...consumerAfter(after, this.#name),
      deliver_subject: this.#inbox,
      max_deliver: 1,
      replay_policy: 'instant',
      flow_control: true,
      idle_heartbeat: HEARTBEAT * 1_000_000,
    })
  }

  /** Subscribes to the inbox. */
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

  /** Unsubscribes. The server then drops the consumer within seconds; `remove` does so at once. */
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
    // After a blocked event loop, heartbeats wait in the socket, which is read before the immediate.
    if (this.#missed > MAX_MISSED) atTurnEnd(() => this.#missed > MAX_MISSED && this.#break())
  }

  #break(): void {
    if (this.#isStopped) return
    this.stop()
    this.#listener.onBroken()
  }

  #onMessage(message: Message): void {
    if (this.#isStopped) return
    this.#missed = 0
    // A message of the stream has a subject of the stream, so no publisher can forge a status.
    if (message.subject === this.#inbox) this.#onStatus(message)
    else this.#onStreamMessage(message)
  }

  #onStreamMessage(message: Message): void {
    this.#delivered += 1
    if (parseReply(message).delivered !== this.#delivered) this.#break()
    else this.#listener.onMessage(streamMessageOf(message))
  }

  /**
   * Responds to flow-control requests, resumes a stalled consumer, and compares the heartbeat's sequence with the
   * messages received.
   */
  #onStatus(message: Message): void {
    const { headers } = message
    const delivered = headers?.get('Nats-Last-Consumer')
    // The server waits for a response to a flow-control request that was lost.
    const stalled = headers?.get('Nats-Consumer-Stalled')
    if (message.reply) message.respond()
    else if (delivered && Number(delivered) !== this.#delivered) this.#break()
    else if (stalled) this.#client.connection.publish(stalled)
    else if (delivered) this.#listener.onIdle(Number(headers?.get('Nats-Last-Stream')))
  }
}
