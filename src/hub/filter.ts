import { describe, SseError } from '../errors.ts'
import type { AnyEvents, DataEvent, EventMap } from '../event/event.ts'

/** True if a client may receive an event. Called for replayed and live events. An error that it throws closes the stream. */
export type Filter<Events extends EventMap = AnyEvents> = (
  event: DataEvent<Events>,
  channel: string,
) => boolean

/** Calls a filter. Throws its errors, and `SseError` `ERR_SSE_OPTION` if it does not return a boolean. */
export function ask(filter: Filter, event: DataEvent, channel: string): boolean {
  const result: unknown = filter(event, channel)
  if (typeof result === 'boolean') return result
  // A promise is truthy, so the client would receive every event.
  const message = `A filter must synchronously return true or false, not ${describe(result)}.`
  throw new SseError('ERR_SSE_OPTION', message)
}
