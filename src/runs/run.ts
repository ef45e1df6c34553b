import type { AnyEvents, EventMap } from '../event/event.ts'
import type { RunEndReason } from '../stores/run-store.ts'
import type { SseStream } from '../stream/stream.ts'
import type { RunSubscribeOptions } from './run-options.ts'

/** A run, as `Runs` returns it in any process. It holds no state, and need not be closed. */
export interface Run<Events extends EventMap = AnyEvents> {
  readonly id: string
  /** Whether this process runs the source. */
  readonly isOwner: boolean
  /** How the run had ended when this object was returned. Undefined if it went on. */
  readonly end: RunEndReason | undefined

  /** Subscribes a stream to the run, as `runs.subscribe` does. */
  subscribe<Own extends Events>(stream: SseStream<Own>, options?: RunSubscribeOptions<Events>): Promise<void>

  /** Stops the run, as `runs.stop` does. */
  stop(): Promise<boolean>

  /**
   * Resolves with how the run ended, or with undefined if it was removed. Rejects with `SseError` `ERR_SSE_STORE`, or
   * with `ERR_SSE_SHUT_DOWN` at the shutdown of this process.
   */
  whenEnded(): Promise<RunEndReason | undefined>
}
