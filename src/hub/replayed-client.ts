import type { SseStream } from '../stream/stream.ts'

/** A client that is sent the events it missed. */
export interface ReplayedClient {
  readonly stream: SseStream
  /** Whether the client waits for further events. Once this is false, the connection of the stream MUST be notified. */
  readonly isActive: boolean
}
