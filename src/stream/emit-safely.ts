import { outsideRequests } from '../scheduler/context.ts'
import type { SseStreamEventMap } from './attachments.ts'
import type { SseStream } from './stream.ts'

/**
 * Emits an event of a stream. A listener that throws must stop neither a flush nor a broadcast. Its error is uncaught, as in
 * Node.
 */
export function emitSafely<Name extends keyof SseStreamEventMap>(
  stream: SseStream,
  name: Name,
  ...args: SseStreamEventMap[Name]
): void {
  try {
    outsideRequests(() => stream.emit(name, ...(args as never)))
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
