import { pause } from '../../../scheduler/pause.ts'
import type { NatsClient } from '../client.ts'
import type { Subscription } from '../consumer.ts'
import type { ProcessRequests } from '../process-requests.ts'

// How long a response counts, as a part of the lease.
const VALID_PART = 1 / 3
// How long an acquire waits for a response, in ms. After this time, the process counts as alive until its lease has
// expired.
const ACQUIRE_TIMEOUT = 500

interface Answer {
  readonly isAlive: Promise<boolean>
  validUntil: number
}

/**
 * Determines whether processes are alive. Each process responds on a subject of its own, so that nothing is stored and
 * renewed. A process is dead if its subject has no subscriber, or if it has not responded for a lease.
 */
export class ProcessLiveness {
  readonly #client: NatsClient
  readonly #requests: ProcessRequests
  readonly #lease: number
  readonly #subjectOf: (process: string) => string
  readonly #answers = new Map<string, Answer>()
  #subscription: Subscription | undefined

  /** `subjectOf` returns the subject of a process. `lease` in ms. */
  constructor(
    client: NatsClient,
    requests: ProcessRequests,
    lease: number,
    subjectOf: (process: string) => string,
  ) {
    this.#client = client
    this.#requests = requests
    this.#lease = lease
    this.#subjectOf = subjectOf
  }

  /** Starts to respond for a process. */
  serve(process: string): void {
    this.#subscription ??= this.#client.connection.subscribe(this.#subjectOf(process), {
      callback: (error, message) => {
        if (!error) message.respond()
      },
    })
  }

  /** Notes a reconnect. After an outage of the server, other processes reconnect a little later. */
  onReconnect(): void {
    this.#requests.onReconnect()
    this.#answers.clear()
  }

  /** Returns the dead ones of some processes. */
  async deadOf(processes: readonly string[]): Promise<readonly string[]> {
    const alive = await Promise.all(processes.map((process) => this.#isAlive(process)))
    return processes.filter((_, at) => !alive[at])
  }

  close(): void {
    this.#subscription?.unsubscribe()
  }

  async #isAlive(process: string): Promise<boolean> {
    const ending = new AbortController()
    const yes = () => true
    const late = pause(ACQUIRE_TIMEOUT, ending.signal, { keepsAlive: false }).then(yes, yes)
    const isAlive = await Promise.race([this.#answerOf(process), late])
    ending.abort()
    return isAlive
  }

  #answerOf(process: string): Promise<boolean> {
    const now = performance.now()
    for (const [each, { validUntil }] of this.#answers) if (validUntil <= now) this.#answers.delete(each)
    const present = this.#answers.get(process)
    if (present) return present.isAlive
    const answer: Answer = { isAlive: this.#ask(process, () => answer), validUntil: Number.POSITIVE_INFINITY }
    this.#answers.set(process, answer)
    return answer.isAlive
  }

  async #ask(process: string, answerOf: () => Answer): Promise<boolean> {
    const askedAt = performance.now()
    try {
      const isAlive = await this.#requests.isAnswered(this.#subjectOf(process), '', this.#lease)
      const now = performance.now()
      // The result for a subject without a subscriber arrives at once. It is not kept, because the process may
      // reconnect.
      const isSilent = now - askedAt >= this.#lease
      answerOf().validUntil = isAlive || isSilent ? now + this.#lease * VALID_PART : now
      return isAlive
    } catch {
      // During an outage and right after it, the process counts as alive.
      this.#answers.delete(process)
      return true
    }
  }
}
