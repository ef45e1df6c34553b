import { SseError } from '../../errors.ts'
import { checkEvent } from '../../formats/event-stream.ts'
import type { Publication } from '../log-entry.ts'

/** Encodes a publication as JSON. The channel and the idempotency key are stored beside it. */
export function encodeRecord({ event, data, isText, retry, key, conflate }: Publication): string {
  return JSON.stringify({ event, data, isText, retry, key, conflate })
}

/** Decodes a record. Throws `SseError` if a hub cannot have written it, for example if its name holds a line end. */
export function decodeRecord(record: string, channel: string): Publication {
  return { ...parseRecord(record), channel }
}

/** Returns a record as it was written. Throws `SseError` for anything else. */
export function parseRecord(record: string): Partial<Publication> & { readonly data: string } {
  const fields = Object(parsed(record)) as Partial<Publication>
  const { event, data, key, retry } = fields
  if (typeof data !== 'string' || (key !== undefined && typeof key !== 'string'))
    throw new SseError('ERR_SSE_EVENT', 'Not a record written by a hub.')
  checkEvent({ event, retry })
  return { ...fields, data }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
