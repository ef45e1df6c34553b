import { outsideRequests } from '../scheduler/context.ts'
import type { SseStreamEventMap } from './attachments.ts'
import type { SseStream } from './stream.ts'

/**
 * Emits an event of a stream. A listener that throws MUST NOT stop a flush or a broadcast, so that its error is thrown
 * later, as an uncaught exception.
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
