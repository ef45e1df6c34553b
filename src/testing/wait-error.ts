import type { ReceivedEvent } from './event-parser.ts'

/** What a test waited for did not come. The message shows what did. */
export class WaitError extends Error {
  override readonly name = 'WaitError'
  readonly code = 'ERR_SSE_WAIT'
  /** The events that the client has received since it was opened. */
  readonly events: readonly ReceivedEvent[]

  constructor(message: string, events: readonly ReceivedEvent[] = [], options?: ErrorOptions) {
    super(message, options)
    this.events = events
  }
}
