import { describe, SseError } from '../errors.ts'
import type { SseStream } from './stream.ts'

/** Throws `SseError` `ERR_SSE_STREAM` for a value that is no stream. */
export function checkStream(stream: unknown): void {
  // Not `instanceof`, because the ES module and the CommonJS build each have a class of their own.
  if (typeof (stream as SseStream | undefined)?._deliver === 'function') return
  throw new SseError('ERR_SSE_STREAM', `Expected an SseStream, not ${describe(stream)}.`)
}
