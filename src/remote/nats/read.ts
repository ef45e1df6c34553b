import { randomUUID } from 'node:crypto'
import type { NatsClient } from './client.ts'
import { NothingCame } from './failures.ts'
import type { Followed } from './follower.ts'

// How long the broker has for a page, in ms: the shortest time that it takes. A part of a page is a page too.
const EXPIRY = 1_000

/** Messages after a sequence, at most so many, oldest first. */
export async function readAfter(
  { jetstream, manager }: NatsClient,
  stream: string,
  after: number,
  limit: number,
): Promise<Followed[]> {
  const name = `spillway_${randomUUID()}`
  const { consumers } = await manager
  const info = await consumers.add(stream, {
    name,
    deliver_policy: 'by_start_sequence',
    opt_start_seq: after + 1,
    ack_policy: 'none',
    mem_storage: true,
    num_replicas: 1,
  } as never)
  const found: Followed[] = []
  try {
    const count = Math.min(limit, info.num_pending)
    if (count === 0) return found
    const messages = await jetstream.consumers
      .getConsumerFromInfo(info)
      .fetch({ max_messages: count, expires: EXPIRY })
    for await (const message of messages) {
      found.push({
        sequence: message.seq,
        subject: message.subject,
        payload: message.string(),
        pending: message.info.pending,
      })
    }
    if (found.length === 0) throw new NothingCame()
    return found
  } finally {
    consumers.delete(stream, name).catch(() => {})
  }
}
