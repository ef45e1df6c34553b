import { SseError } from '../../errors.ts'
import { checkEvent } from '../../formats/event-fields.ts'
import { LogEntry, type Publication, parsedJson } from '../log-entry.ts'
import type { StoredEntry } from './driver.ts'

/** Encodes a publication as JSON. The channel and the idempotency key are stored beside it. */
export function encodeRecord({ event, data, isText, retry, key, conflate }: Publication): string {
  return JSON.stringify({ event, data, isText, retry, key, conflate })
}

/** Returns a record as it was written. Throws `SseError` if a hub cannot have written it, for example for a line end in a name. */
export function parseRecord(record: string): Partial<Publication> & { readonly data: string } {
  const fields = Object(parsedJson(record)) as Partial<Publication>
  const { event, data, key, retry } = fields
  if (typeof data !== 'string' || (key !== undefined && typeof key !== 'string'))
    throw new SseError('ERR_SSE_EVENT', 'Not a record written by a hub.')
  checkEvent({ event, retry })
  return { ...fields, data }
}

/** Returns the event of a stored entry. Throws as `parseRecord` does. */
export function toLogEntry({ id, channel, record }: StoredEntry): LogEntry {
  return new LogEntry(id, { ...parseRecord(record), channel })
}
