import type { Engine, EngineListener, ReceivedEvent, StartEngine, TransportChange } from './engine.ts'
import { Line } from './share-line.ts'
import { type LockManager, requestLock } from './share-lock.ts'
import { type Channel, errorOf, type Failure, failureOf, type LeaderMessage } from './share-message.ts'

/** How often a follower checks that its leader responds, in ms, and up to half as long again. */
const CHECK_INTERVAL = 1_000
/** The number of checks without a message after which a follower replaces its leader. */
const MAX_SILENT_CHECKS = 3

/** The most events that wait for a loop of this tab, because other tabs wait for the same stream. */
const MAX_BACKLOG = 10_000

/** The part of a browser that the client uses. */
interface Browser {
  readonly navigator?: { readonly locks?: LockManager }
  readonly BroadcastChannel?: new (name: string) => Channel
  addEventListener(
    type: string,
    listener: (event: { readonly type: string }) => void,
    options: { readonly capture: true; readonly signal: AbortSignal },
  ): void
}

/**
 * Returns a function that starts an engine that all tabs with the same `key` share. The tab that holds a lock of that name leads. It has the only
 * connection, and sends what it receives to the others. When it is closed, suspended or does not respond, another tab
 * continues after its own last event.
 *
 * A tab without `lastEventId` starts at the present position of the leader. Another one receives the events after that id
 * from the leader. If the leader no longer keeps them, the tab has a connection of its own until it has caught up.
 *
 * The ids of events MUST be unique, and `key` MUST identify the user. Events without ids may be lost when the leader
 * changes. Where the browser has no Web Locks or no `BroadcastChannel`, each tab starts an engine of its own.
 */
export function shareEngine(key: string, start: StartEngine): StartEngine {
  const { navigator, BroadcastChannel } = globalThis as unknown as Browser
  const locks = navigator?.locks
  if (!locks || !BroadcastChannel) return start
  return (listener, lastEventId) => new SharedEngine(`spillway:1:${key}`, locks, start, listener, lastEventId)
}

/** The engine of a tab that is the leader or a follower. */
class SharedEngine implements Engine {
  readonly #name: string
  readonly #locks: LockManager
  readonly #start: StartEngine
  readonly #listener: EngineListener
  readonly #line: Line
  readonly #end = new AbortController()
  #lock: AbortController | undefined
  /** The term of the newest leader that is known. */
  #term = 0
  /** The connection of all tabs, if this tab leads. */
  #shared: Engine | undefined
  /** The last event id of this tab while it is at another place than the line. */
  #place: string | undefined
  /** A connection of this tab alone, which continues from that place. */
  #own: Engine | undefined
  /** Undefined while the page is suspended, and after the end. */
  #channel: Channel | undefined
  #open: TransportChange | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #silentChecks = 0
  /** Whether the leader has not yet answered a request for entries. */
  #isRequested = false

  constructor(
    name: string,
    locks: LockManager,
    start: StartEngine,
    listener: EngineListener,
    lastEventId: string,
  ) {
    this.#name = name
    this.#locks = locks
    this.#start = start
    this.#listener = listener
    this.#line = new Line(lastEventId)
    const onLifecycle = ({ type }: { readonly type: string }) =>
      type === 'pageshow' || type === 'resume' ? this.#join() : this.#suspend()
    for (const type of ['pagehide', 'freeze', 'pageshow', 'resume']) {
      const { addEventListener } = globalThis as unknown as Browser
      addEventListener(type, onLifecycle, { capture: true, signal: this.#end.signal })
    }
    this.#join()
  }

  get lastEventId(): string {
    return this.#own?.lastEventId ?? this.#place ?? this.#shared?.lastEventId ?? this.#line.cursor
  }

  close(): void {
    this.#end.abort()
    this.#suspend()
  }

  setBacklog(count: number): void {
    if (count <= MAX_BACKLOG || !this.#channel) return
    const error = { message: `Over ${MAX_BACKLOG} events wait`, code: 'ERR_SSE_OVERFLOW' }
    this.#fail(errorOf(failureOf(error, true)), true)
  }

  #join(): void {
    if (this.#channel) return
    const { BroadcastChannel } = globalThis as unknown as Required<Browser>
    this.#channel = new BroadcastChannel(this.#name)
    this.#channel.onmessage = ({ data }) => ('end' in data ? this.#respond(data.end) : this.#receive(data))
    this.#silentChecks = 0
    this.#isRequested = false
    this.#request()
    this.#requestLock()
    this.#scheduleCheck()
  }

  #requestLock(steal?: true): void {
    const onStolen = () => {
      this.#stopLeading()
      this.#requestLock()
    }
    this.#lock = requestLock(this.#locks, this.#name, { onHeld: () => this.#lead(), onStolen }, steal)
  }

  /** Releases everything, because other tabs would wait for a page that does not run. */
  #suspend(): void {
    clearTimeout(this.#timer)
    this.#lock?.abort()
    this.#stopLeading()
    // The line is at another place, so that `join` has to begin with the cursor alone.
    if (this.#place) this.#line.reset(0, [], this.lastEventId)
    this.#stopOwn()
    this.#channel?.close()
    this.#channel = undefined
  }

  #lead(): void {
    const line = this.#line
    // Greater than every position so far, because no leader receives an event every microsecond.
    let position = Math.max(Date.now() * 1e3, this.#term + 1e3) + Math.random() * 1e3
    this.#term = position
    this.#open = undefined
    // Without a cursor, the server repeats nothing. Other tabs may have one, so that this is not a place on their line.
    if (!line.base || !line.cursor) line.reset(position, [], line.cursor)
    const onError = (error: unknown, isFinal: boolean) => {
      this.#post(line.kept.length, failureOf(error, isFinal))
      this.#fail(error, isFinal)
    }
    this.#shared = this.#start(
      {
        onOpen: (change) => {
          this.#open = change
          this.#post()
          this.#listener.onOpen(change)
        },
        onEvent: (event) => {
          line.append({ at: ++position, event })
          this.#post(line.kept.length - 1)
          this.#deliver(event)
        },
        onError,
        onAlive: () => this.#moveCursor(),
      },
      line.cursor,
    )
    this.#post()
  }

  /** Publishes a position that has arrived without an event. */
  #moveCursor(): void {
    this.#listener.onAlive()
    const cursor = this.#shared?.lastEventId
    if (cursor === undefined || cursor === this.#line.cursor) return
    this.#line.cursor = cursor
    this.#post()
  }

  #stopLeading(): void {
    this.#shared?.close()
    this.#shared = undefined
  }

  #stopOwn(): void {
    this.#own?.close()
    this.#own = this.#place = undefined
  }

  /** Sends the entries from an index on. Followers that have them ignore them. */
  #post(index = this.#line.kept.length, failure?: Failure): void {
    const { kept, base, cursor } = this.#line
    this.#channel?.postMessage({
      term: this.#term,
      entries: kept.slice(index),
      after: kept[index - 1]?.at ?? base,
      isWhole: !index,
      cursor,
      open: this.#open,
      failure,
    })
  }

  #respond(end: number): void {
    if (this.#shared) this.#post(this.#line.kept.findIndex(({ at }) => at === end) + 1)
  }

  #request(): void {
    if (!this.#isRequested) this.#channel?.postMessage({ end: this.#line.end })
    this.#isRequested = true
  }

  /** Replaces a leader that does not respond. One late check is too few, because it precedes the messages that wait. */
  #scheduleCheck(): void {
    this.#timer = setTimeout(
      () => {
        this.#scheduleCheck()
        this.#isRequested = false
        if (this.#place && !this.#own) this.#startOwn(this.#place)
        if (this.#shared) return
        if (++this.#silentChecks > 1) this.#request()
        if (this.#silentChecks <= MAX_SILENT_CHECKS) return
        this.#silentChecks = 0
        this.#lock?.abort()
        this.#requestLock(true)
      },
      CHECK_INTERVAL * (1 + Math.random() / 2),
    )
  }

  #receive(message: LeaderMessage): void {
    const { term, open, failure } = message
    // A leader that another tab has replaced may not know it yet.
    if (term < this.#term) return
    if (term > this.#term) {
      this.#stopLeading()
      this.#term = term
      this.#open = undefined
      this.#isRequested = false
    }
    this.#silentChecks = 0
    if (open && open.transport !== this.#open?.transport) {
      this.#open = open
      this.#listener.onOpen(open)
    }
    this.#follow(message)
    this.#listener.onAlive()
    if (failure) this.#fail(errorOf(failure), failure.isFinal)
  }

  #follow({ entries, after, isWhole, cursor }: LeaderMessage): void {
    const line = this.#line
    const index = [after, ...entries.map(({ at }) => at)].indexOf(line.end)
    if (index >= 0) {
      for (const entry of entries.slice(index)) {
        line.append(entry)
        this.#deliver(entry.event)
      }
      line.cursor = cursor
    } else if (isWhole) {
      // A leader that is behind this tab has yet to receive that event, so that a check later starts an own connection.
      this.#place ??= this.lastEventId || undefined
      line.reset(after, entries, cursor)
    } else this.#request()
    this.#catchUp()
  }

  #deliver(event: ReceivedEvent): void {
    if (this.#place) this.#catchUp()
    else if (this.#channel) this.#listener.onEvent(event)
  }

  #startOwn(cursor: string): void {
    this.#own = this.#start(
      {
        onOpen() {},
        onEvent: (event) => {
          this.#listener.onEvent(event)
          this.#catchUp(event.id)
        },
        onError: (error, isFinal) => this.#fail(error, isFinal),
        onAlive: () => this.#listener.onAlive(),
      },
      cursor,
    )
  }

  /** If the line has an id, delivers what follows it, and ends the own connection. */
  #catchUp(id = this.lastEventId): void {
    if (!this.#place) return
    const { kept, cursor } = this.#line
    const index = kept.map(({ event }) => event.id).lastIndexOf(id) + 1
    if (!index && id !== cursor) return
    this.#stopOwn()
    if (index) for (const { event } of kept.slice(index)) this.#deliver(event)
  }

  #fail(error: unknown, isFinal: boolean): void {
    this.#open = undefined
    if (isFinal) this.close()
    this.#listener.onError(error, isFinal)
  }
}
