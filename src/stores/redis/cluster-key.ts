import { SseError } from '../../errors.ts'

/**
 * Throws `SseError` `ERR_SSE_OPTION` for a key that shares its slot of a cluster with no longer key. Then there is no place
 * for idempotency keys.
 */
export function checkClusterKey(key: string): void {
  if (hasHashTag(key) || !key.includes('}')) return
  const message = `In a cluster, the key ${JSON.stringify(key)} needs a hash tag, because it contains a brace.`
  throw new SseError('ERR_SSE_OPTION', message)
}

/** Whether only the text in braces decides the slot. Redis reads the first braces, and ignores them if they are empty. */
function hasHashTag(key: string): boolean {
  return /^[^{]*\{[^}]+\}/.test(key)
}
