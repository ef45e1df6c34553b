import { describe, SseError } from '../errors.ts'
import type { AnyEvents, DataEvent, EventMap } from '../event/event.ts'

/** Whether a client may see an event. Runs on what is replayed as on what is live; what throws ends the stream. */
export type Filter<Events extends EventMap = AnyEvents> = (
  event: DataEvent<Events>,
  channel: string,
) => boolean

/** Asks a filter. Throws `SseError` `ERR_SSE_OPTION` for an answer that is none, and what the filter throws. */
export function ask(filter: Filter, event: DataEvent, channel: string): boolean {
  const answer: unknown = filter(event, channel)
  if (typeof answer === 'boolean') return answer
  // A promise would count as yes.
  const message = `A filter answers true or false, at once, not ${describe(answer)}.`
  throw new SseError('ERR_SSE_OPTION', message)
}
