/** The events of a stream by name, with the type of each one's data: `{ price: Quote; halt: string }`. */
export type EventMap = object

/** Any event. As `any`, so that a stream of certain events can be given to a function that takes any stream. */
// biome-ignore lint/suspicious/noExplicitAny: nothing else is both a subtype and a supertype of every event map.
export type AnyEvents = any

interface Envelope {
  /** Becomes the client's last event id. No CR, LF or NUL. An empty string resets the client's id. */
  id?: string | number | undefined
  /** How long the client waits before it reconnects, in ms: a non-negative integer. */
  retry?: number | undefined
  /** What the event is the newest value of, for `conflate`. Never sent. Default: the event's name. */
  key?: string | undefined
}

interface LooseEvent<Data> extends Envelope {
  /** The event's name. Default: none, which a browser dispatches as `message`. No CR, LF or NUL. */
  event?: string | undefined
  /** A string goes out as it is, anything else through `serialize`. Without data nothing is dispatched. */
  data?: Data | undefined
}

interface Checkpoint extends Envelope {
  event?: undefined
  data?: undefined
}

// [spec] An event without a name is dispatched as `message`.
type NamedEvent<Name extends string, Data> = Envelope &
  (Name extends 'message' ? { event?: Name | undefined } : { event: Name }) & { data: Data }

/** An event that a client dispatches: name and data as a pair of the `EventMap`. */
export type DataEvent<Events extends EventMap = AnyEvents> = string extends keyof Events
  ? LooseEvent<Events[keyof Events & string]>
  : { [Name in keyof Events & string]: NamedEvent<Name, Events[Name]> }[keyof Events & string]

/**
 * What the application says. With an `EventMap`, name and data are checked as a pair. An event without data is a
 * checkpoint: it moves the client's last event id and dispatches nothing.
 */
export type SseEvent<Events extends EventMap = AnyEvents> =
  | DataEvent<Events>
  | (string extends keyof Events ? never : Checkpoint)
