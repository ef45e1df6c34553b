import type { ReceivedEvent } from './event-parser.ts'

/** Thrown if a wait of a test fails, for example for an event. The message lists what was received instead. */
export class WaitError extends Error {
  override readonly name = 'WaitError'
  readonly code = 'ERR_SSE_WAIT'
  /** All events that the client has received. */
  readonly events: readonly ReceivedEvent[]

  constructor(message: string, events: readonly ReceivedEvent[] = [], options?: ErrorOptions) {
    super(message, options)
    this.events = events
  }
}
