import { createHash } from 'node:crypto'

const PLAIN = /^[\w.-]{1,60}$/

/**
 * Returns the name of a key in a broker, for example `user-7`. Any other text, such as an IPv6 address, is replaced by
 * its hash, because a client may choose it.
 */
export function countKeyOf(key: string): string {
  // A plain key cannot have the name of a hash, which is longer.
  if (PLAIN.test(key)) return key
  // In UTF-16, because UTF-8 has the same bytes for all halves of surrogate pairs.
  return createHash('sha256').update(key, 'utf16le').digest('hex')
}
