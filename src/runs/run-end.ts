import { SseError } from '../errors.ts'
import type { SseEvent } from '../event/event.ts'
import { checkSynchronous } from '../event/synchronous.ts'
import { checkEvent, type Serialize, serialized } from '../formats/event-fields.ts'
import type { RunEndReason, RunEvent } from '../stores/run-store.ts'
import { isEventName } from '../stream/options.ts'

/** How a run ended, as its subscribers receive it. */
export interface RunEnd {
  /**
   * `done`: its source was read to the end. `error`: its source failed. `stopped`: a caller requested it. `lost`: the
   * process that ran the source has died, or was frozen for longer than its lease.
   */
  readonly reason: RunEndReason
  /** The text that `errorMessage` returned. */
  readonly message?: string | undefined
}

/** The name of the last event of a run, or a function that returns the last event or the last events, without ids. */
export type EndEvent = string | ((end: RunEnd) => SseEvent | readonly SseEvent[])

/** Returns the events that report an end. If `endEvent` fails, the default event, because each run must end. */
export function endEventsOf(
  { endEvent, serialize }: { readonly endEvent: EndEvent; readonly serialize: Serialize },
  end: RunEnd,
  onError: (error: unknown) => void,
): RunEvent[] {
  try {
    const returned = typeof endEvent === 'string' ? { event: endEvent, data: end } : endEvent(end)
    checkSynchronous(returned, 'ERR_SSE_OPTION', 'endEvent', 'an event or several')
    const events = [returned].flat()
    if (events.length === 0) throw new SseError('ERR_SSE_EVENT', 'endEvent must return at least one event.')
    return events.map((event) => runEventOf(event, serialize))
  } catch (error) {
    onError(error)
    return defaultEndEvents(end)
  }
}

/** Returns the event that reports an end by default. */
export function defaultEndEvents(end: RunEnd): RunEvent[] {
  return [runEventOf({ event: 'end', data: end }, JSON.stringify)]
}

/** Checks and serializes an event that a source yielded. Throws `SseError`, as `encode` does. */
export function runEventOf(event: unknown, serialize: Serialize): RunEvent {
  const { event: name, id, retry, data } = checkEvent(event)
  if (id !== undefined)
    throw new SseError('ERR_SSE_ID', 'The run assigns the ids. Yield events without an id.')
  if (data === undefined)
    throw new SseError('ERR_SSE_DATA', "An event of a run needs data (data: '' is allowed).")
  const isText = typeof data === 'string'
  return { event: name, data: serialized(data, serialize), isText, retry }
}

/** Checks the option `endEvent`. */
export function checkEndEvent(value: unknown): string | undefined {
  return isEventName(value) || typeof value === 'function' ? undefined : 'an event name or a function'
}
