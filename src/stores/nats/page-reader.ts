import { randomUUID } from 'node:crypto'
import type { ConsumerInfo, JsMsg } from '@nats-io/jetstream'
import type { NatsClient } from './client.ts'
import { TransientError } from './errors.ts'
import { consumerAfter, type StreamMessage } from './ordered-consumer.ts'

// How long the broker has for a batch, in ms: the shortest time that NATS accepts. A shorter page is a page too.
const EXPIRY = 1_000
// A server closes a connection for which it queues more than 64 MiB. A batch of the largest messages stays below.
const MAX_BATCH = 32 * 1024 * 1024
// A page of this many bytes ends early.
const MAX_PAGE = 8 * 1024 * 1024

/** Reads at most `limit` messages after a sequence, oldest first. Large messages make a shorter page. */
export async function readPage(
  client: NatsClient,
  stream: string,
  after: number,
  limit: number,
): Promise<StreamMessage[]> {
  const { consumers } = await client.manager
  const info = await consumers.add(stream, consumerAfter(after, `spillway_${randomUUID()}`))
  const count = Math.min(limit, info.num_pending)
  const found: StreamMessage[] = []
  let cause: unknown
  try {
    for await (const message of messagesOf(client, info, count)) found.push(toStreamMessage(message))
  } catch (error) {
    // The consumer was removed or does not respond. The messages received before are a page too.
    cause = error
  } finally {
    consumers.delete(stream, info.name).catch(() => {})
  }
  // They were removed meanwhile, or the broker is slow.
  if (found.length === 0 && count > 0) throw new TransientError('no message was received', { cause })
  return found
}

async function* messagesOf({ connection, jetstream }: NatsClient, info: ConsumerInfo, count: number) {
  const consumer = jetstream.consumers.getConsumerFromInfo(info)
  const largest = connection.info?.max_payload ?? MAX_BATCH
  const most = Math.max(1, Math.floor(MAX_BATCH / largest))
  for (let left = count, bytes = 0; left > 0 && bytes < MAX_PAGE; ) {
    const batch = Math.min(most, left)
    left -= batch
    let missing = batch
    for await (const message of await consumer.fetch({ max_messages: batch, expires: EXPIRY })) {
      bytes += message.data.length
      missing -= 1
      yield message
    }
    if (missing > 0) return
  }
}

function toStreamMessage(message: JsMsg): StreamMessage {
  const { seq: sequence, subject, info } = message
  return {
    sequence,
    subject,
    payload: message.string(),
    pending: info.pending,
    time: info.timestampNanos / 1e6,
  }
}
