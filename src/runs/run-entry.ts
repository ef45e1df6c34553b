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
    // Not spread, because V8 then adds each property by itself.
    const publication: Publication = { channel: id, event: name, data, isText, retry }
    super(eventIdOf(epoch, position), publication)
    this.number = position.number
    this.first = first
    this.place = position.place
  }

  // Not kept, because an entry that is read has one subscriber.
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
  for (let number = Math.max(first, after + 1); number < first + events.length; number++) {
    entries.push(new RunEntry(run, events[number - first] as RunEvent, { number, place }))
  }
  const newest = entries.at(-1)
  if (newest) newest.end = end
  return entries
}
