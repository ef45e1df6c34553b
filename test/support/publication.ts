import type { SseEvent } from '../../src/event/event.ts'
import type { Publication } from '../../src/stores/log-entry.ts'

/** Returns a publication as a hub creates it. */
export function publicationOf(
  channel: string,
  { data, event, key, retry }: Omit<SseEvent, 'id'>,
  options: Pick<Publication, 'conflate' | 'idempotencyKey'> = {},
): Publication {
  const isText = typeof data === 'string'
  return { channel, event, key, retry, data: isText ? data : JSON.stringify(data), isText, ...options }
}
