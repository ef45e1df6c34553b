import { Frame } from '../event/frame.ts'
import type { Format } from '../formats/format.ts'
import { type Flushable, turn } from '../scheduler/turn.ts'
import type { EventStore } from '../stores/event-store.ts'

/**
 * How clients are sent their position in the log. `event`: as an event with the name `position` and the data `{}`.
 * `id`: as a block with an id only, which dispatches no event. False: not at all.
 */
export type Positions = 'event' | 'id' | false

/** A client that is sent its position. */
export interface PositionHolder {
  /** @internal Sends the store's position if that of the client may be evicted before its next heartbeat. */
  _refreshPosition(position: string): void
  /** @internal Does the same at the end of a turn, after events that its filter hid. */
  _onHidden(): void
}

// From this share of the window on, a position may be evicted soon. The share for heartbeats is lower, because a
// heartbeat costs no more as a position.
const HEARTBEAT_SHARE = 1 / 2
const REFRESH_SHARE = 3 / 4
// How much of the window passes between two checks of all clients.
const CHECK_SHARE = 1 / 4
// A client is checked after at most this many events that its filter hid.
const MAX_CHECK_INTERVAL = 8

// A newer position replaces an older one in a queue that conflates. No event has this key.
const POSITION_KEY = '\0position'

/** Encodes the positions of one hub, and keeps the positions of its clients current. */
export class PositionKeeper implements Flushable {
  readonly #store: EventStore
  readonly #kind: Positions
  readonly #holders: () => Iterable<PositionHolder>
  // Clients at the same position share its frame.
  #last: { readonly id: string; readonly format: Format; readonly frame: Frame } | undefined
  #checkedAt: string | undefined
  // The clients to be checked at the end of the turn.
  #hidden: PositionHolder[] = []
  #isScheduled = false

  constructor(store: EventStore, kind: Positions, holders: () => Iterable<PositionHolder>) {
    this.#store = store
    this.#kind = kind
    this.#holders = holders
  }

  get isEnabled(): boolean {
    return this.#kind !== false
  }

  /** Returns a position as a block of its own. */
  frameAt(id: string, format: Format): Frame {
    if (this.#last?.id !== id || this.#last.format !== format)
      this.#last = { id, format, frame: this.#encode(id, format) }
    return this.#last.frame
  }

  /** Whether more than half of the window lies after a position, as far as it concerns some channels. */
  isStale(position: string, channels: readonly string[]): boolean {
    if (!this.isEnabled || position === this.#store.position) return false
    // A store without `staleness` has an unknown window, so that each heartbeat is a position.
    return (this.#store.staleness?.(position, channels) ?? 1) > HEARTBEAT_SHARE
  }

  /** Whether a position should be replaced before the next heartbeat. */
  isUrgent(position: string, channels: readonly string[]): boolean {
    return this.#share(position, channels) > REFRESH_SHARE
  }

  /**
   * Returns the number of further events until a position should be checked again. `events` is the number of events
   * after the position. 0: the position should be replaced before the next heartbeat.
   */
  checkInterval(position: string, channels: readonly string[], events: number): number {
    const share = this.#share(position, channels)
    if (share > REFRESH_SHARE) return 0
    return Math.max(1, Math.min(MAX_CHECK_INTERVAL, Math.floor((CHECK_SHARE * events) / share)))
  }

  /** Checks the clients at the end of the turn, if enough was published since the last check. */
  onEntry(): void {
    if (this.isEnabled && this.#store.staleness) this.#schedule()
  }

  /** Checks a client at the end of the turn, because its filter hid events. */
  onHidden(holder: PositionHolder): void {
    this.#hidden.push(holder)
    this.#schedule()
  }

  /** @internal */
  _flush(): void {
    this.#isScheduled = false
    // A position MUST NOT overtake entries before it.
    turn.fanOutNow()
    const hidden = this.#hidden
    this.#hidden = []
    for (const holder of hidden) holder._onHidden()
    const { position } = this.#store
    this.#checkedAt ??= position
    if (this.#share(this.#checkedAt, []) <= CHECK_SHARE) return
    this.#checkedAt = position
    for (const holder of this.#holders()) holder._refreshPosition(position)
  }

  #schedule(): void {
    if (!this.#isScheduled) turn.scheduleFlush(this)
    this.#isScheduled = true
  }

  #share(position: string, channels: readonly string[]): number {
    if (!this.isEnabled || position === this.#store.position) return 0
    return this.#store.staleness?.(position, channels) ?? 0
  }

  #encode(id: string, format: Format): Frame {
    const text = this.#kind === 'id' ? format.encodeCheckpoint({ id }) : format.encodePosition(id)
    return Frame.of(text, 0, POSITION_KEY)
  }
}
