import type { RunState, RunStore } from '../stores/run-store.ts'
import { endEventsOf } from './run-end.ts'
import type { RunSettings } from './run-options.ts'

/** What ending a run as lost needs. */
export interface LostRunContext {
  readonly store: RunStore
  readonly settings: RunSettings
  readonly signal: AbortSignal
  /** Called with an error of `endEvent`. */
  onError(error: unknown, id: string): void
}

/** Ends a run as lost in the state in which it was found. Resolves with false if its owner has appended meanwhile. */
export async function appendLost(
  { store, settings, signal, onError }: LostRunContext,
  id: string,
  { epoch, last }: RunState,
): Promise<boolean> {
  const events = endEventsOf(settings, { reason: 'lost' }, (error) => onError(error, id))
  const batch = { first: last + 1, events, end: 'lost' as const }
  return store.append(id, epoch, batch, { evictBefore: 0, keep: settings.keep }, signal)
}
