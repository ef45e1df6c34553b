import type { Frame } from '../event/frame.ts'
import type { Format } from '../formats/format.ts'
import { LogEntry, type Publication } from '../stores/log-entry.ts'
import type { RunEndReason, RunEvent, RunPosition, StoredBatch } from '../stores/run-store.ts'
import { eventIdOf } from './run-id.ts'

/** The identity of a run. */
export interface RunIdentity {
  readonly id: string
  readonly epoch: string
}

/** An event of a run that is read for a subscriber which is behind. */
export class RunEntry extends LogEntry {
  /** The number of the event, or that of the last one that was merged into it. */
  readonly number: number
  /** The number of the first event that was merged into it. */
  readonly first: number
  readonly place: string | undefined
  /** How the run ended, if this is its last event. */
  end: RunEndReason | undefined

  constructor({ id, epoch }: RunIdentity, event: RunEvent, position: RunPosition, first = position.number) {
    const { event: name, data, isText, retry } = event
    // Without a spread, because V8 would then add each property separately.
    const publication: Publication = { channel: id, event: name, data, isText, retry }
    super(eventIdOf(epoch, position), publication)
    this.number = position.number
    this.first = first
    this.place = position.place
  }

  // The frame is not kept, because an entry that is read has one subscriber.
  override frameIn(format: Format): Frame {
    return this.encodeIn(format)
  }

  get position(): RunPosition {
    return { number: this.number, place: this.place }
  }
}

/** Returns the entries of a batch after a number. */
export function entriesOf(run: RunIdentity, batch: StoredBatch, after: number): RunEntry[] {
  const { first, events, place, end } = batch
  const entries: RunEntry[] = []
  for (let i = Math.max(0, after + 1 - first); i < events.length; i++) {
    entries.push(new RunEntry(run, events[i] as RunEvent, { number: first + i, place }))
  }
  const newest = entries.at(-1)
  if (newest) newest.end = end
  return entries
}
