import { describe, SseError } from '../errors.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import { isSource, type MaybePromise, type Source } from '../event/source.ts'
import type { SseStream } from '../stream/stream.ts'

/**
 * Answers a request with a stream. What it returns decides how it goes on: events, by an iterable, a generator or a
 * stream, are sent at the pace of the client, and the stream is closed after them. Anything else, and a promise of it,
 * leaves the stream open until somebody closes it.
 *
 * What it throws before the head has left, that is within the turn of the event loop in which it was called and before
 * anything was sent, is answered by the framework. After that the stream is destroyed, and the client learns nothing.
 */
export type SseHandler<
  Arguments extends readonly unknown[] = readonly unknown[],
  Events extends EventMap = AnyEvents,
> = (stream: SseStream<Events>, ...args: Arguments) => MaybePromise<Source<Events> | Ignored>

// What `subscribe`, `send` and a framework's own answers return.
type Ignored =
  // biome-ignore lint/suspicious/noConfusingVoidType: a handler may return nothing.
  | void
  | undefined
  | null
  | boolean
  | { readonly headersSent: boolean }
  | { readonly sent: boolean }
  | ((...args: never) => unknown)

/** Throws `SseError` `ERR_SSE_HANDLER` for what is no function. */
export function checkHandler(handler: unknown): void {
  if (typeof handler === 'function') return
  throw new SseError('ERR_SSE_HANDLER', `A handler is a function (stream, …), not ${describe(handler)}.`)
}

/**
 * Calls a handler and sends what it returns. Resolves when it has come to its end. Throws and rejects with what it
 * fails with, or an error where that is nothing; the stream is destroyed then.
 */
export function runHandler<Arguments extends readonly unknown[]>(
  stream: SseStream,
  handler: SseHandler<Arguments>,
  args: Arguments,
): Promise<void> {
  try {
    return sendReturned(stream, handler(stream, ...args))
  } catch (error) {
    throw failed(stream, error)
  }
}

async function sendReturned(stream: SseStream, returned: unknown): Promise<void> {
  try {
    const source = await returned
    if (!isSource(source)) return
    await stream.sendAll(source)
    stream.close()
  } catch (error) {
    // A lost client is not an error, and neither is what its signal has stopped.
    if (stream.closed && (error as Error | undefined)?.name === 'AbortError') return
    throw failed(stream, error)
  }
}

// What is thrown may be nothing, which frameworks take for no failure at all.
function failed(stream: SseStream, failure: unknown): unknown {
  const error = failure || new Error(`The handler of an event stream failed with ${describe(failure)}.`)
  stream.destroy(error)
  return error
}
