import { SseError } from '../../../errors.ts'
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
  if (epoch === undefined) return undefined
  try {
    return { epoch, batch: toBatch(Number(last), text.slice(length), end) }
  } catch {
    return undefined
  }
}

/** Returns the batch of an entry. Throws `SseError` if no store has written it. */
export function decodeEntry(entry: unknown): StoredBatch {
  const [id, fields] = entry as [unknown, unknown[]]
  const [, record, , end, , last = sequenceOf(toText(id))] = fields.map(toText)
  try {
    return toBatch(Number(last), record as string, end)
  } catch (cause) {
    throw new SseError('ERR_SSE_STORE', `The entry ${toText(id)} is not a batch of a run.`, { cause })
  }
}

/** Returns a state from the reply of a script. */
export function decodeState(reply: unknown): RunState {
  const [id = '', end, last, owner = ''] = (reply as unknown[]).map(toText)
  const [epoch = '', sequence] = id.split('-')
  return { epoch, owner, last: Number(last || sequence), end: toReason(end) }
}

function toBatch(last: number, record: string, end: string | undefined): StoredBatch {
  const events = (JSON.parse(record) as StoredEvent[]).map(toEvent)
  return { first: last - events.length + 1, events, end: toReason(end) }
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
