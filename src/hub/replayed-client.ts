import type { SseStream } from '../stream/stream.ts'

/** A client that is sent what it missed. */
export interface ReplayedClient {
  readonly stream: SseStream
  /** Whether the client waits for more. When that ends, the connection of the stream MUST be notified. */
  readonly isActive: boolean
}
