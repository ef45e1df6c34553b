import { between, checkOptions, decided, isPlain, isWhole, MAX_TIME } from '../check-options.ts'
import { describe, mustBe, SseError } from '../errors.ts'
import { clock } from '../scheduler/clock.ts'
import { outsideRequests } from '../scheduler/context.ts'
import type { LogEntry, Publication } from '../stores/log-entry.ts'
import { refuseStream } from '../stream/refusal.ts'
import type { SseContext } from '../stream/register.ts'
import type { SseStream } from '../stream/stream.ts'

/** Selects streams: by values that their context has, in all processes, or by a function, in this process. */
export type StreamFilter =
  | { readonly [Name in keyof SseContext]?: SseContext[Name] }
  | ((stream: SseStream) => boolean)

export interface CloseStreamsOptions {
  /** The reconnection time of the clients, in ms. Each gets a random time from this to twice this. Default 2 000. */
  retry?: number | undefined
}

/** An action on streams. */
interface Action {
  readonly type: 'close' | 'reauthorize'
  readonly retry?: number
}

/**
 * An action on the streams whose context has the values of `filter`. `at` is the time of the request, in ms on the
 * clock.
 */
interface Request extends Action {
  readonly filter: object
  readonly at: number
}

/** A request as an entry has it. `sentAt` is in ms since 1970, and 0 if it is unknown. */
interface StoredRequest extends Action {
  readonly filter: object
  readonly sentAt: number
}

// No channel of an application has this name, because `*` is refused.
const CONTROL_CHANNEL = 'spillway:control*'

const CLOSE_CHECKS = { retry: between(1, MAX_TIME) }

// How long a request applies to streams that were opened before it and are subscribed after it, in ms. Their clients
// may have been authorized with the rights from before it.
const WINDOW = 30_000

// How far the clocks of two processes may differ, in ms.
const CLOCK_DIFFERENCE = 5_000

// How many streams are authorized at a time.
const CONCURRENCY = 50

/**
 * Closes and reauthorizes streams of a hub in all processes that share its store. The requests are entries of the log,
 * so that each process reads each of them once, also after an outage of the broker. After a loss of entries, all
 * streams are reauthorized.
 */
export class HubControl {
  readonly #streams: { keys(): Iterable<SseStream> }
  readonly #append: (publication: Publication) => Promise<string>
  readonly #createdAt = clock.read()
  // Oldest first.
  readonly #recent: Request[] = []

  constructor(
    streams: { keys(): Iterable<SseStream> },
    append: (publication: Publication) => Promise<string>,
  ) {
    this.#streams = streams
    this.#append = append
  }

  async closeStreams(filter: StreamFilter, options: CloseStreamsOptions): Promise<void> {
    const { retry = 2_000 } = checkOptions(options, CLOSE_CHECKS)
    await this.#request(filter, { type: 'close', retry })
  }

  async reauthorize(filter: StreamFilter): Promise<void> {
    await this.#request(filter, { type: 'reauthorize' })
  }

  /** Whether an entry is a request, and not an event. */
  isControl({ channel }: LogEntry): boolean {
    return channel === CONTROL_CHANNEL
  }

  /** Carries out a request of any process. */
  onEntry(entry: LogEntry): void {
    const request = requestOf(entry)
    if (request) this.#carryOut({ ...request, at: clock.read() })
  }

  /**
   * Carries out a request that was stored before the store was ready, on the streams that were opened before the
   * request. A request from before the hub was created selects none.
   */
  onStored(entry: LogEntry): void {
    const request = this.isControl(entry) ? requestOf(entry) : undefined
    if (!request) return
    const at = clock.read() - Math.max(0, Date.now() - request.sentAt - CLOCK_DIFFERENCE)
    if (at >= this.#createdAt) this.#carryOut({ ...request, at })
  }

  /** Reauthorizes all streams, because a request may be among the entries that the store has lost. */
  onLoss(): void {
    this.#carryOut({ type: 'reauthorize', filter: {}, at: clock.read() })
  }

  /** Carries out the requests that a stream has missed, because it is subscribed only now. */
  onSubscribe(stream: SseStream): void {
    const { openedAt } = stream._connection
    for (let i = this.#recent.length - 1; i >= 0; i--) {
      const request = this.#recent[i] as Request
      if (request.at < openedAt) return
      if (hasValues(stream.context, request.filter)) act([stream], request)
    }
  }

  async #request(filter: StreamFilter, action: Action): Promise<void> {
    if (typeof filter === 'function') return this.#apply(filter, action)
    checkFilter(filter)
    const data = JSON.stringify({ ...action, filter, sentAt: Date.now() })
    try {
      await this.#append({ channel: CONTROL_CHANNEL, data, isText: true })
    } catch (error) {
      // The streams of this process can be closed without the store.
      this.#carryOut({ ...action, filter, at: clock.read() })
      throw error
    }
  }

  #carryOut(request: Request): void {
    const { at, filter } = request
    this.#recent.push(request)
    while ((this.#recent[0] as Request).at <= at - WINDOW) this.#recent.shift()
    const isSelected = ({ context, _connection }: SseStream) =>
      _connection.openedAt <= at && hasValues(context, filter)
    // The work belongs to no request that a client has sent.
    outsideRequests(() => this.#apply(isSelected, request))
  }

  #apply(filter: (stream: SseStream) => boolean, action: Action): void {
    // Decides about all streams before it acts, so that an error leaves all of them open.
    const selected = [...this.#streams.keys()].filter((stream) =>
      decided('A filter of streams', filter(stream)),
    )
    act(selected, action)
  }
}

function act(streams: readonly SseStream[], { type, retry = 0 }: Action): void {
  if (type === 'reauthorize') void reauthorizeAll(streams)
  else for (const stream of streams) refuseStream(stream, { retry }, 'server')
}

// An `authorize` that reads a database must not be called for all streams at once.
async function reauthorizeAll(streams: readonly SseStream[]): Promise<void> {
  for (let i = 0; i < streams.length; i += CONCURRENCY)
    await Promise.all(streams.slice(i, i + CONCURRENCY).map((stream) => stream.reauthorize()))
}

function hasValues(context: unknown, filter: object): boolean {
  try {
    return Object.entries(filter).every(([name, value]) => Object(context)[name] === value)
  } catch {
    // A getter has failed. The stream may be one of the selected streams. Otherwise, its client reconnects.
    return true
  }
}

// A filter whose values JSON drops, for example the private fields of a class, would select the streams of all clients.
function checkFilter(filter: unknown): void {
  if (!isLiteral(filter))
    mustBe('an object literal or a function', 'ERR_SSE_OPTION', 'A filter of streams', filter)
  for (const [name, value] of Object.entries(filter as object)) {
    const isValid = value === null || ['string', 'boolean'].includes(typeof value) || Number.isFinite(value)
    if (isValid) continue
    const message = `A filter has texts, numbers, booleans and null, but ${name} is ${describe(value)}.`
    throw new SseError('ERR_SSE_OPTION', message)
  }
}

/** True if all content of an object is in its enumerable properties that have a name. */
function isLiteral(value: unknown): boolean {
  if (!isPlain(value)) return false
  const prototype = Object.getPrototypeOf(value)
  // A prototype without a prototype is `Object.prototype` of any realm.
  const isSimple = prototype === null || Object.getPrototypeOf(prototype) === null
  return isSimple && Reflect.ownKeys(value).length === Object.keys(value).length
}

// Returns the request in an entry. Undefined for an entry that another program or another version has written. MUST NOT
// throw, because a store that calls `onEntry` would skip the entries after it.
function requestOf(entry: LogEntry): StoredRequest | undefined {
  try {
    const { type, retry, filter, sentAt } = JSON.parse(String(entry.event.data))
    const isKnown = ['close', 'reauthorize'].includes(type) && isPlain(filter)
    const time = isWhole(retry, 1, MAX_TIME) ? retry : 2_000
    return isKnown ? { type, filter, retry: time, sentAt: Number(sentAt) || 0 } : undefined
  } catch {
    return undefined
  }
}
