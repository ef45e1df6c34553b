import { createHash, randomUUID } from 'node:crypto'

/**
 * What the server knows a publication by: each has an id of its own, so that it may be sent again, and those with the
 * same idempotency key on the same channel have the same one.
 */
export function messageIdOf(channel: string, idempotencyKey: string | undefined): string {
  if (idempotencyKey === undefined) return randomUUID()
  // Both may be of any length and of any characters. JSON tells halves of pairs apart, which have no bytes of their own.
  const text = JSON.stringify([channel, idempotencyKey])
  return createHash('sha256').update(text).digest('base64url')
}
