import { checkEvent, serialized } from '../formats/event-fields.ts'
import type { RunBatch, RunEndReason, RunEvent } from './run-store.ts'

const END_REASONS: readonly unknown[] = ['done', 'error', 'stopped', 'lost'] satisfies RunEndReason[]

/**
 * Whether an untrusted object is a batch, which may have no events. Numbers MUST be safe integers, because a larger one
 * would not change when it is incremented.
 */
export function isBatch(value: Partial<RunBatch>): value is RunBatch {
  const { first = 0, events, end } = value
  return (
    Array.isArray(events) &&
    Number.isSafeInteger(first) &&
    first >= 1 &&
    Number.isSafeInteger(first + events.length) &&
    (end === undefined || END_REASONS.includes(end)) &&
    events.every(isEvent)
  )
}

/** Whether an untrusted value is an event that every format can encode. */
function isEvent(value: unknown): boolean {
  const { event, data, isText, retry } = Object(value) as Partial<RunEvent>
  if (typeof data !== 'string' || (isText !== undefined && typeof isText !== 'boolean')) return false
  try {
    checkEvent({ event, retry })
    serialized(data, JSON.stringify)
    return true
  } catch {
    return false
  }
}
