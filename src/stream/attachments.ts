import type { Frame } from '../event/frame.ts'
import type { Format } from '../formats/format.ts'
import type { CloseReason } from './close-reason.ts'
import type { SseStream } from './stream.ts'

export interface SseStreamEventMap {
  /** The client had fallen behind and has caught up, because all queued frames were written. */
  drain: []
  /** Events were dropped because the queue was full. Emitted once per turn of the event loop, with their number. */
  drop: [events: number]
  /** The stream is closed and has released its queue. Emitted once. */
  close: [reason: CloseReason, error: unknown]
}

/** Frames that are delivered to many streams in one turn. `joined` is all of them as one frame, joined once. */
export interface FrameBatch {
  readonly frames: readonly Frame[]
  readonly joined: Frame
}

/** A batch that is delivered to many streams, each of which has a format. */
export interface SharedBatch {
  /** How many events it has. */
  readonly length: number
  in(format: Format): FrameBatch
}

/** The state on which the response to a long poll depends, beside its events. */
export interface PollCache {
  /** True while it has only events that all clients may see. Undefined until the stream is subscribed to a channel. */
  isPublic: boolean | undefined
  /** Whether the server shuts down, so that the client SHOULD NOT use its connection again. */
  isShutDown: boolean
}

/** Keeps the last event id of the client current. */
export interface PositionSource {
  /** @internal Returns a position that is sent instead of a heartbeat, or undefined. */
  _heartbeat(): Frame | undefined
  /** @internal Sends the first position of the client, if it is still to be sent. */
  _beforeClose(): void
}

/** Part of the library that is notified by a direct call when a stream is closed. */
export interface CloseTarget {
  /** @internal Called once: before the `close` event, or at once if the stream was closed before. */
  _streamClosed(stream: SseStream): void
}

/** Checks whether the client of a stream may be connected. */
export interface Reauthorization {
  /** @internal Refuses the stream if its client may not stay connected. Resolves after that. Never rejects. */
  _recheck(): Promise<void>
}
