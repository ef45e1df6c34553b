import type { RunBatch, RunEvent, RunRetention, RunState, RunStore } from '../stores/run-store.ts'
import { defaultEndEvents, endEventsOf, type RunEnd } from './run-end.ts'
import type { RunIdentity } from './run-entry.ts'
import type { RunSettings } from './run-options.ts'

export interface AppendEndContext {
  readonly store: RunStore
  readonly settings: RunSettings
  /** Aborts the append. */
  readonly signal: AbortSignal
  /** Called with an error of `endEvent`, and with the error of a store that rejects its events. */
  onError(error: unknown, id: string): void
}

/** The end of a run, the number of its first event, and the events that are evicted. */
export interface EndBatch {
  readonly end: RunEnd
  readonly first: number
  readonly evictBefore: number
}

/**
 * Appends the end of a run. If the store rejects it, for example because `endEvent` has returned more than the broker
 * accepts, reports that and appends the default event. Resolves with the batch, or with undefined if the store refuses
 * it. Rejects if the store rejects the default event too, or the signal is aborted.
 */
export async function appendEnd(
  context: AppendEndContext,
  run: RunIdentity,
  batch: EndBatch,
): Promise<RunBatch | undefined> {
  const { settings, signal, onError } = context
  try {
    const events = endEventsOf(settings, batch.end, (error) => onError(error, run.id))
    return await append(context, run, batch, events)
  } catch (error) {
    if (signal.aborted) throw error
    onError(error, run.id)
    return appendDefaultEnd(context, run, batch)
  }
}

/** Appends the end of a run with the default event. */
export function appendDefaultEnd(
  context: AppendEndContext,
  run: RunIdentity,
  batch: EndBatch,
): Promise<RunBatch | undefined> {
  // Without the message of the error, which may be too large.
  return append(context, run, batch, defaultEndEvents({ reason: batch.end.reason }))
}

/** Ends a run as lost, in the state that a lookup returned. Resolves with false if its owner has appended meanwhile. */
export async function appendLost(
  context: AppendEndContext,
  id: string,
  { epoch, last }: RunState,
): Promise<boolean> {
  const batch: EndBatch = { end: { reason: 'lost' }, first: last + 1, evictBefore: 0 }
  return (await appendEnd(context, { id, epoch }, batch)) !== undefined
}

async function append(
  { store, settings, signal }: AppendEndContext,
  { id, epoch }: RunIdentity,
  { end, first, evictBefore }: EndBatch,
  events: RunEvent[],
): Promise<RunBatch | undefined> {
  const batch = { first, events, end: end.reason }
  const retention: RunRetention = { evictBefore, keep: settings.keep }
  return (await store.append(id, epoch, batch, retention, signal)) ? batch : undefined
}
