import { diagnosticsChannel } from '../diagnostics.ts'
import type { RunEndReason } from '../stores/run-store.ts'
import type { Runs } from './runs.ts'

/** The message of `spillway:run:start`. */
export interface RunStartMessage {
  readonly runs: Runs
  readonly id: string
}

/** The message of `spillway:run:end`. */
export interface RunEndMessage extends RunStartMessage {
  readonly reason: RunEndReason
  /** How many events are stored, with the last one. */
  readonly events: number
  /** In ms. */
  readonly duration: number
}

export const runStartChannel = diagnosticsChannel<RunStartMessage>('spillway:run:start')
export const runEndChannel = diagnosticsChannel<RunEndMessage>('spillway:run:end')
