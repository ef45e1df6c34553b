import { checkOptions, isWellFormed } from '../check-options.ts'
import { describe, SseError } from '../errors.ts'
import type { SseEvent } from '../event/event.ts'
import { checkEvent, type Serialize, serialized } from '../formats/event-fields.ts'
import type { Publication } from '../stores/log-entry.ts'
import type { PublishOptions } from './channel.ts'

const CHECKS = { idempotencyKey: isWellFormed }

/** Returns an event as a store receives it, with its data serialized. Throws `SseError`. */
export function publicationOf(
  channel: string,
  event: SseEvent,
  conflate: boolean,
  serialize: Serialize,
  options: PublishOptions = {},
): Publication {
  const { event: name, data, retry, key } = checkPublished(event)
  checkOptions(options, CHECKS)
  const { idempotencyKey } = options
  const isText = typeof data === 'string'
  return {
    channel,
    event: name,
    data: serialized(data, serialize),
    isText,
    retry,
    key,
    conflate,
    idempotencyKey,
  }
}

/** Returns the fields of an event, each of which was read once. */
function checkPublished(event: SseEvent) {
  const { event: name, id, retry, key, data } = checkEvent(event)
  if (id !== undefined)
    throw new SseError('ERR_SSE_ID', 'The store assigns the id: publish the event without one.')
  if (key !== undefined && typeof key !== 'string')
    throw new SseError('ERR_SSE_EVENT', `The key of an event is a string, not ${describe(key)}.`)
  if (data === undefined)
    throw new SseError('ERR_SSE_DATA', "A published event needs data (data: '' is allowed).")
  return { event: name, retry, key, data }
}
