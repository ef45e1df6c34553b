import { SseError } from '../../errors.ts'
import { hashTagOf } from './guard.ts'

/** Throws `SseError` `ERR_SSE_OPTION` for a key whose slot of a cluster no idempotency key can share. */
export function checkClusterKey(key: string): void {
  if (!hashTagOf(key).includes('}')) return
  const message = `In a cluster, the key ${JSON.stringify(key)} needs a hash tag, because it contains a brace.`
  throw new SseError('ERR_SSE_OPTION', message)
}
