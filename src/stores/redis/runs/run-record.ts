import { isBatch } from '../../is-batch.ts'
import { parsedJson } from '../../log-entry.ts'
import type { RunEndReason, RunEvent, RunState, StoredBatch } from '../../run-store.ts'
import { toText } from '../replies.ts'

/** The sequence number of the entry with the last batch. Redis accepts no entry after it. */
export const LAST_SEQUENCE = '18446744073709551615'

// The position of an entry, the reason and the number of the last event if it is the last batch, and the record.
const MESSAGE = /^(\d+)-(\d+) (?:([a-z]+) (\d+) )?(?=\[)/

type StoredEvent = readonly [data: string, isText: 0 | 1, event?: string | null, retry?: number]

/** Returns the events of a batch as JSON. */
export function encodeEvents(events: readonly RunEvent[]): string {
  return JSON.stringify(events.map(toStored))
}

/** Returns a batch and its epoch from a published message, or undefined if no store has published it. */
export function decodeMessage(text: string): { epoch: string; batch: StoredBatch } | undefined {
  const [{ length } = '', epoch, sequence, end, last = sequence] = MESSAGE.exec(text) ?? []
  const batch = epoch === undefined ? undefined : toBatch(Number(last), text.slice(length), end)
  return batch && { epoch: epoch as string, batch }
}

/** Returns the batch of an entry, or undefined if no store has written it. */
export function decodeEntry(entry: unknown): StoredBatch | undefined {
  const [id, fields] = entry as [unknown, unknown[]]
  const [, record = '', , end, , last = sequenceOf(toText(id))] = fields.map(toText)
  return toBatch(Number(last), record, end)
}

/** Returns a state from the reply of a script, or undefined if no store has written the newest entry. */
export function decodeState(reply: unknown): RunState | undefined {
  const [id = '', end, text, owner = ''] = (reply as unknown[]).map(toText)
  const [epoch = '', sequence] = id.split('-')
  const last = Number(text || sequence)
  const state = { epoch, owner, last, end: toReason(end) }
  return isBatch({ first: last + 1, events: [], end: state.end }) ? state : undefined
}

function toBatch(last: number, record: string, end: string | undefined): StoredBatch | undefined {
  const stored = parsedJson(record)
  if (!Array.isArray(stored) || stored.length === 0 || !stored.every(isStored)) return undefined
  const batch = { first: last - stored.length + 1, events: stored.map(toEvent), end: toReason(end) }
  return isBatch(batch) ? batch : undefined
}

/** Whether a value has the form of an event, whose fields `isBatch` checks. */
function isStored(value: unknown): value is StoredEvent {
  return Array.isArray(value) && (value[1] === 0 || value[1] === 1)
}

function toStored({ data, isText, event, retry }: RunEvent): StoredEvent {
  const kind = isText ? 1 : 0
  if (retry !== undefined) return [data, kind, event ?? null, retry]
  return event === undefined ? [data, kind] : [data, kind, event]
}

function toEvent([data, isText, event, retry]: StoredEvent): RunEvent {
  return { event: event ?? undefined, data, isText: isText === 1, retry }
}

function toReason(end: string | undefined): RunEndReason | undefined {
  return (end || undefined) as RunEndReason | undefined
}

function sequenceOf(id: string): string {
  return id.slice(id.indexOf('-') + 1)
}
