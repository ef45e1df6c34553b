import type { SseEvent } from '../../event/event.ts'

/** What the broker keeps of an event, beside its channel: the data as text, once serialised. */
export interface EventRecord {
  readonly event?: string | undefined
  readonly data: string
  readonly retry?: number | undefined
  readonly key?: string | undefined
  readonly conflate?: boolean | undefined
  /** Whether the data was a string: what filters see. */
  readonly isText?: boolean | undefined
}

export function encodeRecord(record: EventRecord): string {
  return JSON.stringify(record)
}

/** Undefined for what another program wrote. */
export function decodeRecord(text: string): EventRecord | undefined {
  let record: Partial<EventRecord> | null
  try {
    record = JSON.parse(text)
  } catch {
    return undefined
  }
  const { event, data, retry, key } = Object(record) as Partial<EventRecord>
  const isText = (value: unknown) => value === undefined || typeof value === 'string'
  const isWhole = typeof data === 'string' && isText(event) && isText(key)
  return isWhole && (retry === undefined || typeof retry === 'number') ? (record as EventRecord) : undefined
}

/** The event as it is told to filters. What a serialiser of its own made is told as text. */
export function toEvent({ event, data, retry, key, isText }: EventRecord, id: string): SseEvent {
  return {
    ...(event !== undefined && { event }),
    ...(retry !== undefined && { retry }),
    ...(key !== undefined && { key }),
    id,
    data: isText ? data : parsed(data),
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
