import type { SseEvent } from '../event/event.ts'
import { checkSynchronous } from '../event/synchronous.ts'
import type { Serialize } from '../formats/event-fields.ts'
import { runEventOf } from './run-end.ts'
import { RunEntry, type RunIdentity } from './run-entry.ts'

/**
 * Joins two neighbouring events, for example two deltas of a text, or returns undefined if they cannot be joined. The
 * data of an event is what the source yielded, after `JSON.parse` if it was not a string. MUST NOT change its
 * arguments.
 */
export type Merge = (previous: SseEvent, next: SseEvent) => SseEvent | undefined

/** Neighbouring entries that were joined. */
interface Group {
  readonly event: SseEvent
  readonly first: RunEntry
  readonly last: RunEntry
}

/** Joins neighbouring entries. Each has the position of the last entry in it. The end of a run is never joined. */
export function mergeEntries(
  run: RunIdentity,
  entries: readonly RunEntry[],
  merge: Merge,
  serialize: Serialize,
): RunEntry[] {
  const merged: RunEntry[] = []
  const push = ({ event, first, last }: Group) =>
    merged.push(first === last ? last : new RunEntry(run, runEventOf(event, serialize), last, first.first))
  let group: Group | undefined
  for (const entry of entries) {
    const event = withoutId(entry.event)
    const joined = group && !entry.end ? merge(group.event, event) : undefined
    checkSynchronous(joined, 'ERR_SSE_OPTION', 'merge', 'an event or undefined')
    if (group && !joined) push(group)
    group =
      group && joined
        ? { event: joined, first: group.first, last: entry }
        : { event, first: entry, last: entry }
  }
  if (group) push(group)
  return merged
}

function withoutId({ id: _, ...event }: SseEvent): SseEvent {
  return event
}
