import { Deadline } from '../../scheduler/deadline.ts'
import type { NatsConnection, Statuses } from './client.ts'
import { inboxOf, type Subscription } from './consumer.ts'
import { TransientError } from './errors.ts'
import type { Message } from './stream-message.ts'

// The maximum time for a response, and between two messages, in ms. A server does not report a missing consumer.
const TIMEOUT = 2_000
const NO_MESSAGES = 404
const REQUEST_TIMEOUT = 408
const CONFLICT = 409

export interface PullLimits {
  readonly messages: number
  /** Counts subject, reply subject, headers and payload, as the server does. Default: no limit. */
  readonly bytes?: number | undefined
}

export interface PulledMessages {
  readonly messages: readonly Message[]
  /**
   * `limit`: there may be more messages. `end`: there were no more. `size`: the next message is larger than the limit
   * of bytes. `broken`: the rest was not received, and the consumer may be missing.
   */
  readonly reason: 'limit' | 'end' | 'size' | 'broken'
}

/** A request for messages that a consumer already has. The server sends them to an inbox of this request. */
export class Pull {
  readonly result: Promise<PulledMessages>
  readonly #limits: PullLimits
  readonly #subscription: Subscription
  readonly #statuses: Statuses
  readonly #messages: Message[] = []
  #settle: (result: PulledMessages) => void = () => {}
  #fail: (error: unknown) => void = () => {}
  #deadline: Deadline
  #bytes = 0

  constructor(connection: NatsConnection, subject: string, name: string, limits: PullLimits) {
    this.#limits = limits
    this.result = new Promise((resolve, reject) => {
      this.#settle = resolve
      this.#fail = reject
    })
    const inbox = inboxOf(connection, name)
    this.#subscription = connection.subscribe(inbox, {
      callback: (error, message) => {
        if (error) this.#fail(error)
        else if (message.subject === inbox) this.#onStatus(message)
        else this.#onMessage(message)
      },
    })
    this.#deadline = this.#startDeadline()
    this.#statuses = connection.status()
    void this.#watchErrors(subject)
    const { messages: batch, bytes: max_bytes } = limits
    connection.publish(subject, JSON.stringify({ batch, max_bytes, no_wait: true }), { reply: inbox })
  }

  /** Ends the request. MUST be called. */
  cancel(): void {
    this.#deadline.cancel()
    this.#statuses.stop?.()
    this.#subscription.unsubscribe()
  }

  /** Rejects the result with an error of the connection, because a subject without permission has no response. */
  async #watchErrors(subject: string): Promise<void> {
    for await (const status of this.#statuses) {
      if (status.type === 'error' && Object(status.error).subject === subject) this.#fail(status.error)
    }
  }

  #startDeadline(): Deadline {
    return new Deadline(TIMEOUT, () => this.#break('no message was received in time'))
  }

  #onMessage(message: Message): void {
    this.#messages.push(message)
    this.#bytes += sizeOf(message)
    this.#deadline.cancel()
    this.#deadline = this.#startDeadline()
    const { messages, bytes = Number.POSITIVE_INFINITY } = this.#limits
    // The server sends no status if a limit is reached exactly.
    if (this.#messages.length >= messages || this.#bytes >= bytes) this.#end('limit')
  }

  #onStatus({ headers }: Message): void {
    const [code, description = ''] = [headers?.code, headers?.description]
    if (code === NO_MESSAGES || code === REQUEST_TIMEOUT) this.#end('end')
    else if (code === CONFLICT && /size exceeds/i.test(description)) this.#end('size')
    // For example, the consumer was deleted, or there is a new leader.
    else this.#break(description)
  }

  #end(reason: PulledMessages['reason']): void {
    this.#settle({ messages: this.#messages, reason })
  }

  #break(message: string): void {
    if (this.#messages.length > 0) this.#end('broken')
    else this.#fail(new TransientError(message))
  }
}

// Returns the size of a message as the server counts it. The client has this method, but its type does not.
function sizeOf(message: Message): number {
  return (message as { size?(): number }).size?.() ?? 0
}
