import { decided } from '../check-options.ts'
import type { AnyEvents, DataEvent, EventMap } from '../event/event.ts'
import type { LogEntry } from '../stores/log-entry.ts'
import type { SseStream } from '../stream/stream.ts'
import type { Subscriptions } from './channel-map.ts'
import type { ErrorReporter } from './error-reporter.ts'

/**
 * True if a client may receive an event. Called for replayed and live events. If it throws or does not return a
 * boolean, the client does not receive the event, and the hub emits `error`.
 */
export type Filter<Events extends EventMap = AnyEvents> = (
  event: DataEvent<Events>,
  channel: string,
) => boolean

/**
 * Whether one of the subscriptions of a stream passes an entry. Reports the errors of filters, which hide the entry.
 */
export function passes(
  subscriptions: Subscriptions,
  entry: LogEntry,
  stream: SseStream,
  errors: ErrorReporter,
): boolean {
  if (!('length' in subscriptions))
    return subscriptions.filter === undefined || admits(subscriptions.filter, entry, stream, errors)
  return (
    subscriptions.some(({ filter }) => filter === undefined) ||
    subscriptions.some(({ filter }) => filter !== undefined && admits(filter, entry, stream, errors))
  )
}

function admits(filter: Filter, entry: LogEntry, stream: SseStream, errors: ErrorReporter): boolean {
  const event = eventOf(entry)
  if (event === undefined) return false
  try {
    return decided('A filter', filter(event, entry.channel))
  } catch (error) {
    // One client's failure does not stop a broadcast. If the stream were closed, the client would reconnect to the same
    // event.
    errors.filterFailed(error, entry, stream)
    return false
  }
}

/** Returns undefined if the data cannot be deserialized, which the hub reports once for all filters. */
function eventOf(entry: LogEntry): DataEvent | undefined {
  try {
    return entry.event as DataEvent
  } catch {
    return undefined
  }
}
