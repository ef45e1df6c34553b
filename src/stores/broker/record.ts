import { SseError } from '../../errors.ts'
import { checkEvent } from '../../formats/event-fields.ts'
import { LogEntry, type Publication, parsedJson, type TraceContext } from '../log-entry.ts'
import type { StoredEntry } from './driver.ts'

/** Encodes a publication as JSON. The channel and the idempotency key are stored beside it. */
export function encodeRecord({ event, data, isText, retry, key, conflate, trace }: Publication): string {
  return JSON.stringify({ event, data, isText, retry, key, conflate, trace })
}

/**
 * Returns a record as it was written. Throws `SseError` if a hub cannot have written it, for example for a line end in
 * a name.
 */
export function parseRecord(record: string): Partial<Publication> & { readonly data: string } {
  const fields = Object(parsedJson(record)) as Partial<Publication>
  const { event, data, key, retry, trace } = fields
  if (typeof data !== 'string' || (key !== undefined && typeof key !== 'string'))
    throw new SseError('ERR_SSE_EVENT', 'Not a record written by a hub.')
  checkEvent({ event, retry })
  return trace === undefined ? { ...fields, data } : { ...fields, data, trace: parsedTrace(trace) }
}

// The format of https://www.w3.org/TR/trace-context/.
const TRACEPARENT = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/
const TRACESTATE = /^[\x20-\x7e]{1,512}$/

/** Returns a trace context, or undefined for anything else, because the event is the same without it. */
function parsedTrace(value: unknown): TraceContext | undefined {
  const { traceparent, tracestate } = Object(value) as Record<keyof TraceContext, unknown>
  if (typeof traceparent !== 'string' || !TRACEPARENT.test(traceparent)) return undefined
  const isState = typeof tracestate === 'string' && TRACESTATE.test(tracestate)
  return isState ? { traceparent, tracestate } : { traceparent }
}

/** Returns the event of a stored entry. Throws as `parseRecord` does. */
export function toLogEntry({ id, channel, record }: StoredEntry): LogEntry {
  return new LogEntry(id, { ...parseRecord(record), channel })
}
