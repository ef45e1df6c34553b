import { expect, onTestFinished } from 'vitest'
import { resolveOptions, type SseStreamOptions } from '../../src/http/options.ts'
import { SseStream } from '../../src/stream/stream.ts'
import { FakeTransport } from './fake-transport.ts'

/** Opens a stream over a fake transport. It resumes from a `lastEventId`, which is unreadable if null. */
export function fakeStream(options: SseStreamOptions = {}, lastEventId?: string | null) {
  const transport = new FakeTransport()
  const resumePoint =
    lastEventId === undefined ? 'new' : lastEventId === null ? 'unreadable' : { id: lastEventId }
  const stream = SseStream._open(transport, resolveOptions(options), resumePoint, options)
  onTestFinished(() => {
    stream.destroy()
    expect(transport.lateWrites).toBe(0)
  })
  return { stream, transport }
}

const realSetImmediate = setImmediate

/** Resolves after the present turn of the event loop and the flush at its end. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => realSetImmediate(resolve))
}

/** Resolves when the work of this turn is done. An event that a microtask sends is flushed after the next turn. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await nextTurn()
}

/** Resolves with the arguments of the `close` event. */
export function closed(stream: SseStream): Promise<{ reason: string; error: unknown }> {
  return new Promise((resolve) => stream.once('close', (reason, error) => resolve({ reason, error })))
}
