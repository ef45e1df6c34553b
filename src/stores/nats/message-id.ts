import { createHash, randomUUID } from 'node:crypto'

/**
 * Returns the id by which the server recognizes a repeated publication: a random one, or the same for the same channel and
 * idempotency key.
 */
export function messageIdOf(channel: string, idempotencyKey: string | undefined): string {
  if (idempotencyKey === undefined) return randomUUID()
  // Hashed, because a header bounds length and characters. JSON escapes lone surrogates, which UTF-8 would all turn into
  // U+FFFD.
  const text = JSON.stringify([channel, idempotencyKey])
  return createHash('sha256').update(text).digest('base64url')
}
