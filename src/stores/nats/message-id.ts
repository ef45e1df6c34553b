import { createHash, randomUUID } from 'node:crypto'

/**
 * Returns the id by which the server recognizes a repeated publication. It depends on the channel and the idempotency
 * key, and is random without a key.
 */
export function messageIdOf(channel: string, idempotencyKey: string | undefined): string {
  if (idempotencyKey === undefined) return randomUUID()
  // Hashed, because a header bounds length and characters. JSON escapes lone surrogates, which UTF-8 would all turn
  // into U+FFFD.
  const text = JSON.stringify([channel, idempotencyKey])
  return createHash('sha256').update(text).digest('base64url')
}
