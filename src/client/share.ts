import type { Engine, EngineListener, ReceivedEvent, StartEngine, TransportChange } from './engine.ts'
import { type LockManager, requestLock } from './share-lock.ts'
import { type Channel, errorOf, type Failure, failureOf, type LeaderMessage } from './share-message.ts'
import { SharedEntries } from './shared-entries.ts'

/** How often a follower checks that its leader responds, in ms. A random part of up to half is added. */
const CHECK_INTERVAL = 1_000
/** The number of checks without a message after which a follower replaces its leader. */
const MAX_SILENT_CHECKS = 3

/** The maximum of events that wait for a loop of this tab, because other tabs wait for the same stream. */
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
 * Returns a function that starts an engine that all tabs with the same `key` share. The tab that holds a lock of that
 * name is the leader. It has the only connection, and sends its events to the others. When it is closed, suspended or
 * does not respond, another tab continues after its own last event.
 *
 * A tab without `lastEventId` starts at the present position of the leader. Another tab receives the events after that
 * id from the leader. If the leader has evicted them, the tab has a separate connection until it has caught up.
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
  readonly #entries: SharedEntries
  readonly #end = new AbortController()
  #lock: AbortController | undefined
  /** The highest term of a leader that this tab has received. */
  #term = 0
  /** The connection of all tabs, if this tab is the leader. */
  #sharedEngine: Engine | undefined
  /** The last event id of this tab while its position differs from the entries. */
  #ownCursor: string | undefined
  /** A separate connection of this tab, which continues from that id. */
  #ownEngine: Engine | undefined
  /** Undefined while the page is suspended, and after `close`. */
  #channel: Channel | undefined
  #open: TransportChange | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #silentChecks = 0
  /** Whether the leader has not yet responded to a request for entries. */
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
    this.#entries = new SharedEntries(lastEventId)
    const onLifecycle = ({ type }: { readonly type: string }) =>
      type === 'pageshow' || type === 'resume' ? this.#join() : this.#suspend()
    const { addEventListener } = globalThis as unknown as Browser
    for (const type of ['pagehide', 'freeze', 'pageshow', 'resume'])
      addEventListener(type, onLifecycle, { capture: true, signal: this.#end.signal })
    this.#join()
  }

  get lastEventId(): string {
    return (
      this.#ownEngine?.lastEventId ??
      this.#ownCursor ??
      this.#sharedEngine?.lastEventId ??
      this.#entries.cursor
    )
  }

  close(): void {
    this.#end.abort()
    this.#suspend()
  }

  setBacklog(count: number): void {
    if (count <= MAX_BACKLOG || !this.#channel) return
    const details = { code: 'ERR_SSE_OVERFLOW', isFinal: true }
    this.#fail(Object.assign(new Error(`Over ${MAX_BACKLOG} events wait`), details), true)
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

  /** Releases the lock and the connection, because other tabs would wait for a page that does not run. */
  #suspend(): void {
    clearTimeout(this.#timer)
    this.#lock?.abort()
    this.#stopLeading()
    // The entries have another position, so `join` has to begin with the cursor alone.
    if (this.#ownCursor) this.#entries.reset(0, [], this.lastEventId)
    this.#stopOwnEngine()
    this.#channel?.close()
    this.#channel = undefined
  }

  #lead(): void {
    const shared = this.#entries
    // Greater than every earlier position, because no leader receives an event every microsecond.
    let position = Math.max(Date.now() * 1e3, this.#term + 1e3) + Math.random() * 1e3
    this.#term = position
    this.#open = undefined
    // Without a cursor, the server repeats nothing, so this position does not continue the entries of other tabs.
    if (!shared.base || !shared.cursor) shared.reset(position, [], shared.cursor)
    const onError = (error: unknown, isFinal: boolean) => {
      this.#post(shared.kept.length, failureOf(error, isFinal))
      this.#fail(error, isFinal)
    }
    this.#sharedEngine = this.#start(
      {
        onOpen: (change) => {
          this.#open = change
          this.#post()
          this.#listener.onOpen(change)
        },
        onEvent: (event) => {
          shared.append({ at: ++position, event })
          this.#post(shared.kept.length - 1)
          this.#deliver(event)
        },
        onError,
        onAlive: () => this.#moveCursor(),
      },
      shared.cursor,
    )
    this.#post()
  }

  /** Publishes a position that has arrived without an event. */
  #moveCursor(): void {
    this.#listener.onAlive()
    const cursor = this.#sharedEngine?.lastEventId
    if (cursor === undefined || cursor === this.#entries.cursor) return
    this.#entries.cursor = cursor
    this.#post()
  }

  #stopLeading(): void {
    this.#sharedEngine?.close()
    this.#sharedEngine = undefined
  }

  #stopOwnEngine(): void {
    this.#ownEngine?.close()
    this.#ownEngine = this.#ownCursor = undefined
  }

  /** Sends the entries from an index on. Followers ignore entries that they have. */
  #post(index = this.#entries.kept.length, failure?: Failure): void {
    const { kept, base, cursor } = this.#entries
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
    if (this.#sharedEngine) this.#post(this.#entries.kept.findIndex(({ at }) => at === end) + 1)
  }

  #request(): void {
    if (!this.#isRequested) this.#channel?.postMessage({ end: this.#entries.end })
    this.#isRequested = true
  }

  /** Replaces a leader that does not respond. One late check does not suffice, because it precedes queued messages. */
  #scheduleCheck(): void {
    this.#timer = setTimeout(
      () => {
        this.#scheduleCheck()
        this.#isRequested = false
        if (this.#ownCursor && !this.#ownEngine) this.#startOwnEngine(this.#ownCursor)
        if (this.#sharedEngine) return
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
    // A leader that another tab has replaced may not have received that yet.
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
    // Each listener may close this engine.
    if (this.#channel) this.#follow(message)
    if (this.#channel) this.#listener.onAlive()
    if (this.#channel && failure) this.#fail(errorOf(failure), failure.isFinal)
  }

  #follow({ entries, after, isWhole, cursor }: LeaderMessage): void {
    const shared = this.#entries
    const index = [after, ...entries.map(({ at }) => at)].indexOf(shared.end)
    if (index >= 0) {
      for (const entry of entries.slice(index)) {
        shared.append(entry)
        this.#deliver(entry.event)
      }
      shared.cursor = cursor
    } else if (isWhole) {
      // A leader that is behind this tab has not received that event yet, so a later check starts a separate
      // connection.
      this.#ownCursor ??= this.lastEventId || undefined
      shared.reset(after, entries, cursor)
    } else this.#request()
    this.#catchUp()
  }

  #deliver(event: ReceivedEvent): void {
    if (this.#ownCursor) this.#catchUp()
    else if (this.#channel) this.#listener.onEvent(event)
  }

  #startOwnEngine(cursor: string): void {
    this.#ownEngine = this.#start(
      {
        onOpen() {},
        onEvent: (event) => {
          this.#listener.onEvent(event)
          this.#catchUp(event.id)
        },
        // It reconnects by itself, and the state that this tab reports is that of the shared connection.
        onError: (error, isFinal) => isFinal && this.#fail(error, isFinal),
        onAlive: () => this.#listener.onAlive(),
      },
      cursor,
    )
  }

  /** Delivers the entries after an id, and closes the separate connection. Does nothing for an unknown id. */
  #catchUp(id = this.lastEventId): void {
    if (!this.#ownCursor) return
    const { kept, cursor } = this.#entries
    const index = kept.map(({ event }) => event.id).lastIndexOf(id) + 1
    if (!index && id !== cursor) return
    this.#stopOwnEngine()
    if (index) for (const { event } of kept.slice(index)) this.#deliver(event)
  }

  #fail(error: unknown, isFinal: boolean): void {
    this.#open = undefined
    if (isFinal) this.close()
    this.#listener.onError(error, isFinal)
  }
}
