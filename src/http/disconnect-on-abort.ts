import type { SseStream } from '../stream/stream.ts'

/** Disconnects the stream of a web `Request` when its signal aborts. Returns a function that disconnects it now. */
export function disconnectOnAbort(
  signal: AbortSignal | undefined,
  transport: { disconnect(): void },
  stream: SseStream,
): () => void {
  const onAbort = () => {
    // A transport that is not open does not report the disconnect.
    stream._connection.output.begin()
    transport.disconnect()
  }
  signal?.addEventListener('abort', onAbort)
  if (signal?.aborted) onAbort()
  stream._addCloseTarget({ _streamClosed: () => signal?.removeEventListener('abort', onAbort) })
  return onAbort
}
