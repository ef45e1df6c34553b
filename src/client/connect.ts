import type { AnyEvents, EventMap } from '../event/event.ts'
import { SseEventSource } from './event-source.ts'
import type { SseConnection } from './messages.ts'
import type { FetchOptions, RequestUrl } from './request.ts'

/** Options of `connect`. */
export interface ConnectOptions extends FetchOptions {
  /** Id after which the connection begins, for example of a page that the server has rendered. Default: none. */
  lastEventId?: string | undefined
  /**
   * Resumes after a reload of the page. The last event id is kept in `sessionStorage`, under this name or the URL. A
   * URL that is a function needs a name. Default false.
   */
  persist?: boolean | string | undefined
  /**
   * Shares one connection among all tabs with the same URL and the same options, if the browser has Web Locks and
   * `BroadcastChannel`. With a name, only tabs with that name share it, for example with the id of the user. Use a name
   * if the events depend on more than the URL. A URL that is a function needs a name. Default false.
   */
  share?: boolean | string | undefined
  /** Returns the value of a text for iterators. Default: `JSON.parse`, or the text itself if it is not JSON. */
  deserialize?: ((data: string) => unknown) | undefined
  /** Closes the connection when it is aborted. */
  signal?: AbortSignal | undefined
}

/**
 * Connects to an event stream. Resumes after the last event id when the connection is lost, and polls if the network
 * holds or cuts streams.
 *
 * ```js
 * import { connect } from 'spillway/client'
 *
 * const prices = connect('https://example.com/prices')
 * prices.addEventListener('price', ({ data }) => console.log(data))
 * prices.addEventListener('transport', ({ transport, reason }) => console.log(transport, reason))
 * ```
 *
 * Throws a `TypeError` for a URL that cannot be parsed, and for a function as URL if `share` or `persist` is true. All
 * other errors are emitted as `error` events.
 */
export function connect<Events extends EventMap = AnyEvents>(
  url: RequestUrl,
  options: ConnectOptions = {},
): SseConnection<Events> {
  return new SseEventSource(url, options) as unknown as SseConnection<Events>
}
