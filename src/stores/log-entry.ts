import type { SseEvent } from '../event/event.ts'
import { Frame } from '../event/frame.ts'
import { eventStream, sizeOfText } from '../formats/event-stream.ts'
import type { Format } from '../formats/format.ts'
import { freeze } from './freeze.ts'
import { scopedKey } from './scoped-key.ts'

// The bytes of an entry without its text: its objects, its slot in a store, and the allocation of its frame. Measured
// on Node.js 20 and 22 as resident memory.
const ENTRY_BYTES = 1_000
// The bytes of the trace of a publish without its state.
const TRACE_BYTES = 120

// How often an entry is encoded. 2 after the first client with a format other than the event stream.
let encodings = 1

// Matches text outside Latin-1, of which V8 stores two bytes for each character.
const WIDE = /[^\0-\xff]/

/** A W3C trace context, by the names of its headers. */
export interface TraceContext {
  /** For example `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`. */
  readonly traceparent: string
  readonly tracestate?: string | undefined
}

/** A published event before the store assigns its id. The hub has checked it, and its data is text. */
export interface Publication {
  readonly channel: string
  /** The event's name. */
  readonly event?: string | undefined
  readonly data: string
  /** True if the published data was a string. Otherwise the hub has serialized it, for example to `{"price":7}`. */
  readonly isText?: boolean | undefined
  readonly retry?: number | undefined
  /** The value that the event updates. Default: the event's name. */
  readonly key?: string | undefined
  /** True if a store need only keep the newest event of each `key`. */
  readonly conflate?: boolean | undefined
  /** Publications of one channel with the same key within the store's `idempotencyWindow` are one event. */
  readonly idempotencyKey?: string | undefined
  /** The trace of the publish, for the processes that deliver the event. Clients do not receive it. */
  readonly trace?: TraceContext | undefined
}

/** The hub of the store that holds an entry. */
export interface EntryOwner {
  /** Distinguishes the values of the hub's events from those of other hubs on one stream. */
  readonly scope: string
  /**
   * Returns serialized data as filters receive it. Called at most once for an entry, which keeps the error if it
   * throws.
   */
  readonly deserialize?: ((text: string, entry: LogEntry) => unknown) | undefined
}

/** An event in a store. It is encoded, and its data is parsed, at most once and only when a subscriber needs it. */
export class LogEntry {
  /** The entry's position in the log, and the id of the event: short ASCII text that clients receive. */
  readonly id: string
  readonly channel: string
  /** The size of the event on the wire, in bytes. */
  readonly size: number
  readonly #publication: Publication
  #owner: EntryOwner | undefined
  #frame: Frame | undefined
  // The frames of other formats. Undefined until a client has one of them.
  #frames: Map<Format, Frame> | undefined
  #footprint: number | undefined
  #event: SseEvent | Undecodable | undefined

  constructor(id: string, publication: Publication) {
    const { channel, event, retry, data } = publication
    this.id = id
    this.channel = channel
    this.size = sizeOfText({ id, event, retry }, data)
    this.#publication = publication
  }

  /** The value that the event updates, among the values of all channels. */
  get key(): string {
    const { channel, key, event } = this.#publication
    return scopedKey(channel, key ?? (event || 'message'))
  }

  /** The trace of the publish. Untrusted, because other programs may write to the broker too. */
  get trace(): TraceContext | undefined {
    return this.#publication.trace
  }

  /**
   * The approximate bytes of memory that the entry occupies in a store once it is encoded. They include its text as a
   * string and in each format in use, its names, and about 1 000 bytes of objects.
   */
  get footprint(): number {
    this.#footprint ??= this.#measure()
    return this.#footprint
  }

  /** The event, encoded as an event stream. */
  get frame(): Frame {
    this.#frame ??= this.#encode(eventStream)
    return this.#frame
  }

  /** Returns the event in a format, encoded once for all clients of that format. */
  frameIn(format: Format): Frame {
    return format === eventStream ? this.frame : this.#frameOf(format)
  }

  /**
   * The event as filters receive it, frozen because all of them share it. Serialized data is deserialized by the hub,
   * by default as JSON, and remains text if it is not JSON. Throws the error of `deserialize`.
   */
  get event(): SseEvent {
    this.#event ??= this.#decode()
    if (this.#event instanceof Undecodable) throw this.#event.error
    return this.#event
  }

  /** @internal Called by the hub before it uses the entry. */
  _adopt(owner: EntryOwner): void {
    if (this.#owner === owner) return
    this.#owner = owner
    // Discards the values that were computed without the owner.
    this.#frame = undefined
    this.#frames = undefined
    this.#event = undefined
  }

  #measure(): number {
    const { channel, event, key = event, data, trace } = this.#publication
    const names = textBytes(channel) + textBytes(key ?? '')
    // The names are in the publication, in the key of the frame, and in the key of a store.
    const objects = trace ? ENTRY_BYTES + TRACE_BYTES + (trace.tracestate?.length ?? 0) : ENTRY_BYTES
    return encodings * this.size + textBytes(data) + 3 * names + objects
  }

  #frameOf(format: Format): Frame {
    encodings = 2
    this.#frames ??= new Map()
    const present = this.#frames.get(format)
    if (present) return present
    const frame = this.#encode(format)
    this.#frames.set(format, frame)
    return frame
  }

  #encode(format: Format): Frame {
    return this.encodeIn(format).detach()
  }

  /** Encodes the event for a frame that the entry does not keep. */
  protected encodeIn(format: Format): Frame {
    const { event, retry, data, isText = false, conflate } = this.#publication
    const key = this.#owner ? `${this.#owner.scope}\n${this.key}` : this.key
    return Frame.of(format.encodeText({ id: this.id, event, retry }, data, isText), 1, key, conflate)
  }

  #decode(): SseEvent | Undecodable {
    const { event, data, isText, retry, key } = this.#publication
    try {
      return freeze({
        ...(event !== undefined && { event }),
        ...(retry !== undefined && { retry }),
        ...(key !== undefined && { key }),
        id: this.id,
        data: isText ? data : this.#deserialize(data),
      })
    } catch (error) {
      return new Undecodable(error)
    }
  }

  #deserialize(data: string): unknown {
    return this.#owner?.deserialize ? this.#owner.deserialize(data, this) : parsedJson(data)
  }
}

/** The error of an entry whose data could not be deserialized. */
class Undecodable {
  readonly error: unknown

  constructor(error: unknown) {
    this.error = error
  }
}

/** Returns the bytes of a string in memory. */
export function textBytes(text: string): number {
  return WIDE.test(text) ? 2 * text.length : text.length
}

/** Returns the value of JSON, or the text itself if it is not JSON. */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
