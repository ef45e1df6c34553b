import { parsedJson } from '../../log-entry.ts'
import type { RunOwner } from '../../run-store.ts'
import type { NatsClient } from '../client.ts'
import type { ConnectionMonitor } from '../connection-monitor.ts'
import type { Subscription } from '../consumer.ts'
import { flush } from '../flush.ts'
import type { ProcessRequests } from '../process-requests.ts'
import type { Message } from '../stream-message.ts'
import { tokenOf } from '../subjects.ts'
import { retryBriefly } from './retry-briefly.ts'

// The time for a response of an owner, as a part of the lease, and the lease in ms until `serve` is called.
const RESPONSE_PART = 0.2
const DEFAULT_LEASE = 5_000

/**
 * The processes that run sources. Each process responds on a subject of its own while it runs, so that nothing is
 * stored.
 */
export class RunOwners {
  readonly #client: NatsClient
  readonly #connection: ConnectionMonitor
  readonly #requests: ProcessRequests
  readonly #subjectPrefix: string
  #owner: RunOwner | undefined
  #lease = DEFAULT_LEASE
  #subscription: Subscription | undefined

  constructor(
    client: NatsClient,
    connection: ConnectionMonitor,
    requests: ProcessRequests,
    subjectPrefix: string,
  ) {
    this.#client = client
    this.#connection = connection
    this.#requests = requests
    this.#subjectPrefix = subjectPrefix
  }

  serve(owner: RunOwner, lease: number): void {
    this.#owner = owner
    this.#lease = lease
  }

  /**
   * Subscribes to the requests to this process at the first call. Rejects during an outage, because no request can
   * arrive.
   */
  async renew(): Promise<void> {
    const owner = this.#owner
    if (!owner || (this.#subscription && this.#connection.isUp)) return
    this.#subscription ??= this.#client.connection.subscribe(this.#subjectOf(owner.name), {
      callback: (error, message) => {
        if (!error) respond(owner, message)
      },
    })
    await retryBriefly(this.#connection, () => flush(this.#client.connection, this.#connection))
  }

  isAlive(owner: string): Promise<boolean> {
    return this.#requests.isAnswered(this.#subjectOf(owner), '', this.#wait)
  }

  /** Passes a request on if the process responds. */
  async requestStop(owner: string, id: string, epoch: string): Promise<void> {
    const payload = JSON.stringify([id, epoch])
    const send = () => this.#requests.send(this.#subjectOf(owner), payload, this.#wait)
    await retryBriefly(this.#connection, send)
  }

  close(): void {
    this.#subscription?.unsubscribe()
    this.#owner = undefined
  }

  #subjectOf(owner: string): string {
    return `${this.#subjectPrefix}-owner.${tokenOf(owner)}`
  }

  get #wait(): number {
    return Math.ceil(this.#lease * RESPONSE_PART)
  }
}

function respond(owner: RunOwner, message: Message): void {
  message.respond()
  const request = parsedJson(message.string())
  // An exception here would end all reads of the user's connection.
  const [id, epoch]: unknown[] = Array.isArray(request) ? request : []
  if (typeof id === 'string' && typeof epoch === 'string') owner.onStop(id, epoch)
}
