import type { EventMap } from '../event/event.ts'
import type { TransportChange } from './engine.ts'

interface Item<Name, Data> {
  readonly event: Name
  /** The last event id, which is that of this event or of an earlier one. Empty if there was none. */
  readonly id: string
  readonly data: Data
}

/** Reports that the client may have missed events. */
type GapItem = Item<'gap', { reason: string }>

/** An event that the iterator of a connection yields. Its name and data are a pair of the `EventMap`. */
export type SseItem<Events extends EventMap> = string extends keyof Events
  ? Item<string, Events[keyof Events & string]>
  :
      | { [Name in keyof Events & string]: Item<Name, Events[Name]> }[keyof Events & string]
      | ('gap' extends keyof Events ? never : GapItem)

/** An event as its listeners receive it, with the properties of a `MessageEvent`. */
export interface SseMessage<Name extends string = string> {
  readonly type: Name
  /** The text of the data. */
  readonly data: string
  readonly lastEventId: string
  readonly origin: string
}

/** The connection was lost. It reconnects unless its `readyState` is `CLOSED`. */
export interface SseErrorEvent {
  readonly type: 'error'
  /** Usually an `SseClientError`. Undefined if the server ended the stream without an error. */
  readonly error: unknown
}

/** The transport in use, on the first connection and after each change. */
export interface SseTransportEvent extends TransportChange {
  readonly type: 'transport'
}

/** The events of a connection itself. */
export interface ConnectionEvents {
  open: { readonly type: 'open' }
  error: SseErrorEvent
  transport: SseTransportEvent
}

type Listener<Event> = ((event: Event) => void) | { handleEvent(event: Event): void }
type Names<Events> = (keyof Events & string) | 'message' | 'gap'

/** A connection, with the surface of `EventSource` and as an async iterable. */
export interface SseConnection<Events extends EventMap> extends AsyncIterable<SseItem<Events>> {
  readonly CONNECTING: 0
  readonly OPEN: 1
  readonly CLOSED: 2
  /** `CONNECTING` (0), `OPEN` (1) or `CLOSED` (2). */
  readonly readyState: 0 | 1 | 2
  /** The absolute URL. Empty if the URL is a function. */
  readonly url: string
  /** The id of the last event or position. Empty if there was none. */
  readonly lastEventId: string
  onopen: ((event: ConnectionEvents['open']) => void) | null
  onmessage: ((event: SseMessage<'message'>) => void) | null
  onerror: ((event: SseErrorEvent) => void) | null
  addEventListener<Name extends keyof ConnectionEvents>(
    type: Name,
    listener: Listener<ConnectionEvents[Name]> | null,
    options?: ListenerOptions,
  ): void
  addEventListener<Name extends Names<Events>>(
    type: Name,
    listener: Listener<SseMessage<Name>> | null,
    options?: ListenerOptions,
  ): void
  removeEventListener<Name extends keyof ConnectionEvents>(
    type: Name,
    listener: Listener<ConnectionEvents[Name]> | null,
    options?: ListenerOptions,
  ): void
  removeEventListener<Name extends Names<Events>>(
    type: Name,
    listener: Listener<SseMessage<Name>> | null,
    options?: ListenerOptions,
  ): void
  /** Ends the connection. No event is dispatched afterwards, and iterators end. */
  close(): void
}

type ListenerOptions =
  | boolean
  | { once?: boolean; capture?: boolean; passive?: boolean; signal?: AbortSignal }
