import { SseError } from '../../errors.ts'
import { scopedKey } from '../scoped-key.ts'

/**
 * Returns the key that holds the id of an idempotent publication. Two streams share no guard, even if they have the
 * same hash tag, such as `orders` and `{orders}`.
 */
export function guardOf(key: string, channel: string, idempotencyKey: string): string {
  const scoped = scopedKey(channel, idempotencyKey)
  if (!/[{}]/.test(key)) return `{${key}}:idempotency:${scoped}`
  // The length of the key delimits it, because its text may occur in the name of a channel.
  return `{${hashTagOf(key)}}:idempotent:${key.length}:${key}:${scoped}`
}

/** Throws `SseError` `ERR_SSE_OPTION` if no guard can be in the same slot of a cluster as the key of a stream. */
export function checkClusterKey(key: string): void {
  if (!hashTagOf(key).includes('}')) return
  const message = `In a cluster, the key ${JSON.stringify(key)} needs a hash tag, because it contains a brace.`
  throw new SseError('ERR_SSE_OPTION', message)
}

/**
 * Returns the part of a key that decides its slot in a cluster, so that the guard is in the slot of its stream. No
 * guard can be there if the key has a `}` but no hash tag.
 */
export function hashTagOf(key: string): string {
  const start = key.indexOf('{')
  const end = key.indexOf('}', start + 1)
  // Redis ignores an empty tag.
  return start === -1 || end <= start + 1 ? key : key.slice(start + 1, end)
}
