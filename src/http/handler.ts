import { describe, SseError } from '../errors.ts'
import type { AnyEvents, EventMap, Given } from '../event/event.ts'
import { isPromise, isSource, type MaybePromise, type Source } from '../event/source.ts'
import type { SseStream } from '../stream/stream.ts'

/**
 * Handles a request whose response is an event stream.
 *
 * It may return a source of events, such as an array, a generator or a stream. Its events are sent at the client's
 * pace, and then the stream is closed. If it returns nothing, the stream stays open until it is closed.
 *
 * An error before the response headers are sent is passed to the framework. The headers are sent with the first event,
 * or at the end of the turn in which the handler was called, unless `maxHeaderDelay` is set. A later error destroys the
 * stream and is not sent to the client. After a disconnect, errors of work that the stream's signal aborts are ignored.
 */
export type SseHandler<
  Arguments extends readonly unknown[] = readonly unknown[],
  Events extends EventMap = AnyEvents,
  Answer = never,
  Request = Arguments[0],
> = (
  stream: SseStream<Events, Request>,
  ...args: Arguments
) => MaybePromise<Source<Given<Events>> | Ignored | Answer>

// Return values of `subscribe`, `send`, a framework's response methods, and of adding the stream to a collection, so
// that a one-line handler may return them.
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
  | ((...args: never) => Unsent)

// The results of functions that a handler may return. A function that returns a source shows that a call is missing.
// biome-ignore lint/suspicious/noConfusingVoidType: most of the functions return nothing.
type Unsent = void | undefined | null | boolean | number | string | (object & NoSource)

type NoSource = {
  readonly [Symbol.iterator]?: undefined
  readonly [Symbol.asyncIterator]?: undefined
  readonly getReader?: undefined
}

/** Throws `SseError` `ERR_SSE_HANDLER` if a handler is not a function. */
export function checkHandler(handler: unknown): void {
  if (typeof handler === 'function') return
  throw new SseError('ERR_SSE_HANDLER', `A handler must be a function (stream, …), not ${describe(handler)}.`)
}

/** Responds with a value that a handler returned. Returns whether it did. */
export type Respond = (returned: unknown) => boolean

/** Called with an error of a handler. MUST NOT throw. */
export type OnRejection = (error: unknown, stream: SseStream) => void

/**
 * Calls a handler and sends the events it returns, unless `respond` accepts the returned value. Resolves when both have
 * finished. On failure, destroys the stream and throws or rejects with the error; a falsy rejection becomes an `Error`.
 * `onRejection` is called before a rejection destroys the stream.
 */
export function runHandler<Arguments extends readonly unknown[]>(
  stream: SseStream,
  handler: SseHandler<Arguments, AnyEvents, unknown, never>,
  args: Arguments,
  respond: Respond = () => false,
  onRejection?: OnRejection,
): Promise<void> {
  try {
    const returned = handler(stream as SseStream<AnyEvents, never>, ...args)
    if (respond(returned)) return Promise.resolve()
    if (!isPromise(returned)) checkReturned(stream, returned)
    return sendReturned(stream, returned, respond, onRejection)
  } catch (error) {
    return Promise.resolve(fail(stream, error))
  }
}

async function sendReturned(
  stream: SseStream,
  returned: unknown,
  respond: Respond,
  onRejection?: OnRejection,
): Promise<void> {
  try {
    const source = await returned
    if (respond(source)) return
    checkReturned(stream, source)
    if (!isSource(source) || isRegistry(source, stream)) return
    await stream.sendAll(source)
    stream.close()
  } catch (error) {
    fail(stream, error, onRejection)
  }
}

// Rejects other values, because `(stream) => ({ event, data })` would open a stream that sends nothing.
function checkReturned(stream: SseStream, returned: unknown): void {
  if (returned === undefined || returned === null || returned === stream) return
  if (typeof returned === 'boolean' || isSource(returned)) return
  if (typeof returned === 'function' && !isUncalled(returned)) return
  if (typeof returned === 'object' && ('headersSent' in returned || 'sent' in returned)) return
  if (isRegistry(returned, stream)) return
  throw new SseError('ERR_SSE_HANDLER', isResponse(returned) ? messageFor(returned) : wrongValue(returned))
}

// A generator function or an `async` function shows that a call is missing. `subscribe` returns an ordinary function.
function isUncalled(returned: unknown): boolean {
  return typeof returned === 'function' && /^.object (Async|Generator)/.test({}.toString.call(returned))
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
  const advice = isUncalled(returned)
    ? 'Call it, and return its result.'
    : 'Pass an event to stream.send(), yield it, or return it in an array.'
  return `A handler must return nothing or a source of events, not ${describe(returned)}. ${advice}`
}

/** Destroys the stream and throws the error, unless the error is a consequence of the disconnect of the client. */
function fail(stream: SseStream, failure: unknown, onRejection?: OnRejection): void {
  if (isAbort(stream, failure)) return
  // Frameworks treat a falsy error as a success.
  const error = failure || new Error(`The handler of an event stream failed with ${describe(failure)}.`)
  // The framework responds with the error, even if a page with events was collected.
  stream._connection.abandon()
  onRejection?.(error, stream)
  stream.destroy(error)
  throw error
}

// True if an error counts as an abort. SDKs have different names for it, so any error counts if the signal of the
// stream was read and has aborted. Exceptions are an `SseError`, and a stream that the application has closed.
function isAbort(stream: SseStream, failure: unknown): boolean {
  if (!stream.closed || failure instanceof SseError) return false
  if ((failure as Error | undefined)?.name === 'AbortError') return true
  return stream._hasSignal && !['server', 'error'].includes(`${stream.closeReason}`)
}
