import type { SseStream } from '../stream/stream.ts'

/** The reason of a signal that `closeSignalOf` returns. */
export const STREAM_CLOSED = Symbol('The stream is closed.')

/** Returns a signal that aborts when a stream is closed. `signal` of the stream is for work of the application. */
export function closeSignalOf(stream: SseStream): AbortSignal {
  const controller = new AbortController()
  stream._addCloseTarget({ _streamClosed: () => controller.abort(STREAM_CLOSED) })
  return controller.signal
}
