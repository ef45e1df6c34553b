import type { RunState } from '../stores/run-store.ts'
import { type AppendEndContext, appendEnd } from './append-end.ts'

/** Ends a run as lost, in the state that a lookup returned. Resolves with false if its owner has appended meanwhile. */
export async function appendLost(
  context: AppendEndContext,
  id: string,
  { epoch, last }: RunState,
): Promise<boolean> {
  const batch = { end: { reason: 'lost' }, first: last + 1, evictBefore: 0 } as const
  return (await appendEnd(context, { id, epoch }, batch)) !== undefined
}
