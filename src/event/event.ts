/** Maps each event name to the type of its data, for example `{ price: Quote; halt: string }`. */
export type EventMap = object

/**
 * Any events. The type is `any`, so that a stream of particular events is assignable to a parameter that accepts every
 * stream.
 */
// biome-ignore lint/suspicious/noExplicitAny: nothing else is both a subtype and a supertype of every event map.
export type AnyEvents = any

/** `Events` without inference, as `NoInfer` of TypeScript 5.4. Events are not inferred from those of a source. */
export type Given<Events extends EventMap> = [Events][Events extends unknown ? 0 : never]

interface Envelope extends ForeignFields {
  /** Id that becomes the client's last event id. Without CR, LF and NUL. An empty string resets the client's id. */
  id?: string | number | undefined
  /** New reconnection time of the client in ms, a non-negative integer. */
  retry?: number | undefined
  /**
   * The value this event updates. With `conflate`, only the newest event per key is kept. Never sent. Default: `event`.
   */
  key?: string | undefined
}

// Fields of objects that are the data of an event: chunks of a language model, messages of JSON-RPC, rows of a
// database. Without them here, a variable of the type `{ id: number; name: string }` would type-check as a checkpoint.
type ForeignFields = {
  readonly [Name in
    | 'type'
    | 'delta'
    | 'choices'
    | 'object'
    | 'jsonrpc'
    | 'method'
    | 'params'
    | 'result'
    | 'error'
    | 'name']?: undefined
}

interface LooseEvent<Data> extends Envelope {
  /** Name of the event. Without CR, LF and NUL. Default: none, which a browser dispatches as `message`. */
  event?: string | undefined
  /** Data of the event. Strings are sent unchanged, other values through `serialize`. */
  data: Data
}

interface Checkpoint extends Envelope {
  event?: undefined
  /** Without data, nothing is dispatched. */
  data?: undefined
}

// [spec] An event without a name is dispatched as `message`.
type NamedEvent<Name extends string, Data> = Envelope &
  (Name extends 'message' ? { event?: Name | undefined } : { event: Name }) & { data: Data }

/** An event with data, which a client dispatches. Its name and data are a pair of the `EventMap`. */
export type DataEvent<Events extends EventMap = AnyEvents> = string extends keyof Events
  ? LooseEvent<Events[keyof Events & string]>
  : { [Name in keyof Events & string]: NamedEvent<Name, Events[Name]> }[keyof Events & string]

/**
 * An event to send. With an `EventMap`, its name and data are checked as a pair. An event without data is a checkpoint,
 * which updates the client's last event id and dispatches nothing.
 */
export type SseEvent<Events extends EventMap = AnyEvents> = DataEvent<Events> | Checkpoint
