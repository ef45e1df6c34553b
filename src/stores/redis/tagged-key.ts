import { SseError } from '../../errors.ts'

// The text in the first braces, if it is not empty. The text after it does not change the slot.
const HASH_TAG = /^[^{]*\{[^}]+\}/

/**
 * Returns the prefix of all keys of a store, for example `{spillway:runs}`, so that they are in one slot of a cluster.
 *
 * Throws `SseError` `ERR_SSE_OPTION` for a key with a brace but without a hash tag.
 */
export function taggedKey(prefix: string, key: string): string {
  const base = prefix + (/[{}]/.test(key) ? key : `{${key}}`)
  if (HASH_TAG.test(base)) return base
  const message = `The key ${JSON.stringify(key)} needs a hash tag, because it contains a brace.`
  throw new SseError('ERR_SSE_OPTION', message)
}
