import { expect, onTestFinished } from 'vitest'
import { resolveOptions, type SseStreamOptions } from '../../src/http/options.ts'
import { SseStream } from '../../src/stream/stream.ts'
import { FakeTransport } from './fake-transport.ts'

/** A stream over a fake transport. With a `lastEventId` it resumes; with null, from an id that cannot be read. */
export function fakeStream(options: SseStreamOptions = {}, lastEventId?: string | null) {
  const transport = new FakeTransport()
  const position =
    lastEventId === undefined ? 'new' : lastEventId === null ? 'unreadable' : { id: lastEventId }
  const stream = SseStream._open(transport, resolveOptions(options), position)
  onTestFinished(() => {
    stream.destroy()
    expect(transport.lateWrites).toBe(0)
  })
  return { stream, transport }
}

const setImmediateForReal = setImmediate

/** Resolves when the turn of the event loop, and the flush at its end, are over. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediateForReal(resolve))
}

/** Resolves when what this turn began has come to rest: what a microtask sends is flushed after the next turn. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await nextTurn()
}

/** What a `close` event says. */
export function closed(stream: SseStream): Promise<{ reason: string; error: unknown }> {
  return new Promise((resolve) => stream.once('close', (reason, error) => resolve({ reason, error })))
}
