import { describe, SseError } from '../errors.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import { isPromise, isSource, type MaybePromise, type Source } from '../event/source.ts'
import type { SseStream } from '../stream/stream.ts'

/**
 * Handles a request whose response is an event stream.
 *
 * It may return a source of events, such as an array, a generator or a stream. Its events are sent at the client's pace,
 * and then the stream is closed. If it returns nothing, the stream stays open until it is closed.
 *
 * An error before the response headers are sent goes to the framework. They are sent with the first event or at the end
 * of the event loop turn in which the handler was called, unless `maxHeaderDelay` is set. A later error destroys the stream
 * and is not sent to the client. If the client has disconnected, an error of work that the stream's signal aborts is ignored.
 */
export type SseHandler<
  Arguments extends readonly unknown[] = readonly unknown[],
  Events extends EventMap = AnyEvents,
  Answer = never,
  Request = Arguments[0],
> = (
  stream: SseStream<Events, Request>,
  ...args: Arguments
) => MaybePromise<Source<Events> | Ignored | Answer>

// Return values of `subscribe`, `send`, a framework's response methods, and of adding the stream to a collection, so that
// a one-line handler may return them.
type Ignored =
  // biome-ignore lint/suspicious/noConfusingVoidType: a handler may return nothing.
  | void
  | undefined
  | null
  | boolean
  | { readonly headersSent: boolean }
  | { readonly sent: boolean }
  | SseStream
  | ReadonlySet<SseStream>
  | ReadonlyMap<unknown, unknown>
  | WeakSet<SseStream>
  | WeakMap<never, unknown>
  | ((...args: never) => unknown)

/** Throws `SseError` `ERR_SSE_HANDLER` if a handler is not a function. */
export function checkHandler(handler: unknown): void {
  if (typeof handler === 'function') return
  throw new SseError('ERR_SSE_HANDLER', `A handler must be a function (stream, …), not ${describe(handler)}.`)
}

/** Responds with a value that a handler returned. Returns whether it does. */
export type Respond = (returned: unknown) => boolean

/**
 * Calls a handler and sends the events it returns, unless `respond` accepts the returned value. Resolves when both have
 * finished. On failure, destroys the stream and throws or rejects with the error; a falsy rejection becomes an `Error`.
 */
export function runHandler<Arguments extends readonly unknown[]>(
  stream: SseStream,
  handler: SseHandler<Arguments, AnyEvents, unknown, never>,
  args: Arguments,
  respond: Respond = () => false,
): Promise<void> {
  try {
    const returned = handler(stream as SseStream<AnyEvents, never>, ...args)
    if (respond(returned)) return Promise.resolve()
    if (!isPromise(returned)) checkReturned(stream, returned)
    return sendReturned(stream, returned, respond)
  } catch (error) {
    return Promise.resolve(fail(stream, error))
  }
}

async function sendReturned(stream: SseStream, returned: unknown, respond: Respond): Promise<void> {
  try {
    const source = await returned
    if (respond(source)) return
    checkReturned(stream, source)
    if (!isSource(source) || isRegistry(source, stream)) return
    await stream.sendAll(source)
    stream.close()
  } catch (error) {
    fail(stream, error)
  }
}

// Without this check, `(stream) => ({ event, data })` would open a stream that sends nothing.
function checkReturned(stream: SseStream, returned: unknown): void {
  if (returned === undefined || returned === null || returned === stream) return
  if (typeof returned === 'boolean' || typeof returned === 'function' || isSource(returned)) return
  if (typeof returned === 'object' && ('headersSent' in returned || 'sent' in returned)) return
  if (isRegistry(returned, stream)) return
  throw new SseError('ERR_SSE_HANDLER', isResponse(returned) ? messageFor(returned) : wrongValue(returned))
}

/** True for the result of `clients.add(stream)` or `clients.set(id, stream)`. A `Set` of events is a source. */
function isRegistry(value: unknown, stream: SseStream): boolean {
  const isKeyed = value instanceof Map || value instanceof WeakMap || value instanceof WeakSet
  return isKeyed || (value instanceof Set && value.has(stream))
}

/** True if a value is a web `Response`, of any realm. */
export function isResponse(value: unknown): value is Response {
  return Object.prototype.toString.call(value) === '[object Response]'
}

/** True if a `Response` is an event stream, whose events a handler has to return instead. */
export function isEventStream({ ok, headers }: Response): boolean {
  return ok && /^text\/event-stream/i.test(headers.get('content-type') ?? '')
}

function messageFor(response: Response): string {
  return isEventStream(response)
    ? 'A handler cannot return a Response that is an event stream. Return parseEvents(response).'
    : 'A handler can return a Response only from spillway/web or spillway/next, and only before the response headers ' +
        'are sent. They are sent at the end of the turn, or later with the option maxHeaderDelay.'
}

function wrongValue(returned: unknown): string {
  return (
    `A handler must return nothing or a source of events, not ${describe(returned)}. ` +
    'Pass an event to stream.send(), yield it, or return it in an array.'
  )
}

/** Destroys the stream and throws the error, unless the error is a consequence of the disconnect of the client. */
function fail(stream: SseStream, failure: unknown): void {
  if (isAbort(stream, failure)) return
  // Frameworks treat a falsy error as success.
  const error = failure || new Error(`The handler of an event stream failed with ${describe(failure)}.`)
  // The framework responds with the error, also in place of a page whose events were collected.
  stream._connection.abandon()
  stream.destroy(error)
  throw error
}

// SDKs have names of their own for an abort. So any error counts as one once the signal of the stream was passed on and
// has aborted, except if the application itself has closed the stream. An `SseError` is never caused by a client.
function isAbort(stream: SseStream, failure: unknown): boolean {
  if (!stream.closed || failure instanceof SseError) return false
  if ((failure as Error | undefined)?.name === 'AbortError') return true
  return stream._hasSignal && !['server', 'error'].includes(`${stream.closeReason}`)
}
