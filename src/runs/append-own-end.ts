import { pause } from '../scheduler/pause.ts'
import { lastNumberOf } from '../stores/run-batch.ts'
import type { RunBatch, RunState } from '../stores/run-store.ts'
import { type AppendEndContext, appendDefaultEnd, appendEnd, type EndBatch } from './append-end.ts'
import { retryDelay } from './retry-delay.ts'
import type { RunEnd } from './run-end.ts'
import type { RunIdentity } from './run-entry.ts'

/** The end of a run and the number of its newest event, as they are known to be stored. */
export interface OwnEnd {
  readonly end: RunEnd
  readonly last: number
}

const LOST: RunEnd = { reason: 'lost' }

/**
 * Appends the end of a run in the process that runs its source. Resolves with the end that is stored, which may be that
 * of another process. Retries until the signal of the context is aborted, and then resolves with `lost`.
 */
export async function appendOwnEnd(
  context: AppendEndContext,
  run: RunIdentity,
  { end, last, evictBefore }: OwnEnd & { readonly evictBefore: number },
): Promise<OwnEnd> {
  let batch: EndBatch = { end, first: last + 1, evictBefore }
  try {
    for (;;) {
      const stored = await appendUntilAccepted(context, run, batch)
      if (stored) return { end: batch.end, last: lastNumberOf(stored) }
      const state = await findAfterOutage(context, run.id)
      if (state?.epoch !== run.epoch) return { end: LOST, last }
      if (state.end) return { end: { reason: state.end }, last }
      // The store has lost acknowledged events, or has a batch whose append was aborted.
      batch = { end: LOST, first: state.last + 1, evictBefore }
    }
  } catch {
    return { end: LOST, last }
  }
}

/** Appends an end until the store does not reject it. Rejects when the signal is aborted. */
async function appendUntilAccepted(
  context: AppendEndContext,
  run: RunIdentity,
  batch: EndBatch,
): Promise<RunBatch | undefined> {
  const { signal, onError } = context
  try {
    return await appendEnd(context, run, batch)
  } catch (error) {
    if (!signal.aborted) onError(error, run.id)
  }
  // Without an end, clients would wait and `stop` would not resolve.
  return retried(signal, () => appendDefaultEnd(context, run, batch), 1)
}

/** Returns the state of a run. Retries during an outage. */
function findAfterOutage({ store, signal }: AppendEndContext, id: string): Promise<RunState | undefined> {
  return retried(signal, async () => store.find(id), 0)
}

/** Calls a function until its promise resolves, with a delay before each retry. Rejects when the signal is aborted. */
async function retried<T>(signal: AbortSignal, attempt: () => Promise<T>, failures: number): Promise<T> {
  for (let at = failures; ; at++) {
    if (at > 0) await pause(retryDelay(at - 1), signal)
    try {
      return await attempt()
    } catch {
      // The loop retries.
    }
  }
}
