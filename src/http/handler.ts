import { describe, SseError } from '../errors.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import { isSource, type MaybePromise, type Source } from '../event/source.ts'
import type { SseStream } from '../stream/stream.ts'

/**
 * Handles a request whose response is an event stream.
 *
 * It may return a source of events, such as an array, a generator or a stream. Its events are sent at the client's pace,
 * and then the stream is closed. If it returns nothing, the stream stays open until it is closed.
 *
 * An error before the response headers are sent goes to the framework. They are sent with the first event or at the end
 * of the event loop turn in which the handler was called. A later error destroys the stream and is not sent to the client.
 */
export type SseHandler<
  Arguments extends readonly unknown[] = readonly unknown[],
  Events extends EventMap = AnyEvents,
> = (stream: SseStream<Events>, ...args: Arguments) => MaybePromise<Source<Events> | Ignored>

// Return values of `subscribe`, `send` and a framework's response methods, so that a one-line handler may return them.
type Ignored =
  // biome-ignore lint/suspicious/noConfusingVoidType: a handler may return nothing.
  | void
  | undefined
  | null
  | boolean
  | { readonly headersSent: boolean }
  | { readonly sent: boolean }
  | SseStream
  | ((...args: never) => unknown)

/** Throws `SseError` `ERR_SSE_HANDLER` if a handler is not a function. */
export function checkHandler(handler: unknown): void {
  if (typeof handler === 'function') return
  throw new SseError('ERR_SSE_HANDLER', `A handler must be a function (stream, …), not ${describe(handler)}.`)
}

/**
 * Calls a handler and sends the events it returns. Resolves when both have finished. On failure, destroys the stream and
 * throws or rejects with the error; a falsy rejection becomes an `Error`.
 */
export function runHandler<Arguments extends readonly unknown[]>(
  stream: SseStream,
  handler: SseHandler<Arguments>,
  args: Arguments,
): Promise<void> {
  try {
    const returned: unknown = handler(stream, ...args)
    if (!isPromise(returned)) checkReturned(stream, returned)
    return sendReturned(stream, returned)
  } catch (error) {
    throw failed(stream, error)
  }
}

async function sendReturned(stream: SseStream, returned: unknown): Promise<void> {
  try {
    const source = await returned
    checkReturned(stream, source)
    if (!isSource(source)) return
    await stream.sendAll(source)
    stream.close()
  } catch (error) {
    // The stream's signal aborts the handler's work when the client disconnects. That is not a failure.
    if (stream.closed && (error as Error | undefined)?.name === 'AbortError') return
    throw failed(stream, error)
  }
}

function isPromise(value: unknown): boolean {
  return typeof Object(value).then === 'function'
}

// Without this check, `(stream) => ({ event, data })` would open a stream that sends nothing.
function checkReturned(stream: SseStream, returned: unknown): void {
  if (returned === undefined || returned === null || returned === stream) return
  if (typeof returned === 'boolean' || typeof returned === 'function' || isSource(returned)) return
  if (typeof returned === 'object' && ('headersSent' in returned || 'sent' in returned)) return
  const isResponse = Object.prototype.toString.call(returned) === '[object Response]'
  throw new SseError(
    'ERR_SSE_HANDLER',
    isResponse
      ? 'A handler cannot return a Response, because its response is the stream. Choose between the two before sse().'
      : `A handler must return nothing or a source of events, not ${describe(returned)}. ` +
          'Pass an event to stream.send(), yield it, or return it in an array.',
  )
}

// Frameworks treat a falsy error as success.
function failed(stream: SseStream, failure: unknown): unknown {
  const error = failure || new Error(`The handler of an event stream failed with ${describe(failure)}.`)
  stream.destroy(error)
  return error
}
