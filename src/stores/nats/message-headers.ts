import type { RecentLimits } from '../broker/driver.ts'
import { TransientError } from './errors.ts'
import type { ReadConsumers } from './read-consumers.ts'
import type { StreamState } from './stream-config.ts'
import { parseReply } from './stream-message.ts'

// How many sequences are searched first. Each following search has twice as many.
const FIRST_SEARCH = 1_000
// The limits of one pull.
const PULL = { messages: 1_000, bytes: 256 * 1024 }

export interface MessageHeader {
  readonly sequence: number
  readonly subject: string
  /** The size of the body in bytes. */
  readonly size: number
}

/** The sequences that are searched, for one subject or for all. */
export interface SearchRange {
  readonly first: number
  readonly last: number
  readonly subject?: string | undefined
}

/** Yields messages without their bodies, newest first. */
export async function* headersBackward(
  consumers: ReadConsumers,
  { first, last, subject }: SearchRange,
  signal: AbortSignal,
): AsyncGenerator<MessageHeader, void> {
  let count = FIRST_SEARCH
  for (let end = last; end >= first; end -= count, count *= 2) {
    const range = { first: Math.max(first, end - count + 1), last: end, subject }
    yield* (await readHeaders(consumers, range, signal)).reverse()
  }
}

/** Returns a sequence after which the stream has about as many messages as the limits allow, and at least one. */
export async function startOfNewest(
  consumers: ReadConsumers,
  { first, last, bytes }: StreamState,
  limits: RecentLimits,
  signal: AbortSignal,
): Promise<number> {
  const oldest = Math.max(first, last - limits.entries + 1, 1)
  if (bytes <= limits.bytes) return oldest - 1
  let size = 0
  for await (const header of headersBackward(consumers, { first: oldest, last }, signal)) {
    size += header.size
    if (size > limits.bytes) return Math.min(header.sequence, last - 1)
  }
  return oldest - 1
}

async function readHeaders(
  consumers: ReadConsumers,
  { first, last, subject }: SearchRange,
  signal: AbortSignal,
): Promise<MessageHeader[]> {
  const consumer = await consumers.create({ after: first - 1, subject, isHeadersOnly: true }, signal)
  const found: MessageHeader[] = []
  try {
    for (let next = first; next <= last; ) {
      const limits = { ...PULL, messages: Math.min(PULL.messages, last - next + 1) }
      const { messages, reason } = await consumer.pull(limits, signal)
      if (reason === 'broken') throw new TransientError('the consumer was lost')
      for (const message of messages) {
        const { sequence } = parseReply(message)
        const size = Number(message.headers?.get('Nats-Msg-Size') ?? 0)
        if (sequence <= last) found.push({ sequence, subject: message.subject, size })
        next = sequence + 1
      }
      if (reason === 'end') break
    }
  } finally {
    consumers.remove(consumer)
  }
  return found
}
