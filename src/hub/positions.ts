import { Frame } from '../event/frame.ts'
import { encode } from '../formats/event-stream.ts'
import { type Flushable, turn } from '../scheduler/turn.ts'
import type { EventStore } from '../stores/event-store.ts'

/**
 * How clients are sent their position in the log. `event`: as an event with the name `position` and the data `{}`. `id`:
 * as a block with an id only, which dispatches no event. False: not at all.
 */
export type Positions = 'event' | 'id' | false

/** A client that is sent its position. */
export interface PositionHolder {
  /** @internal Sends the store's position if that of the client may be evicted before its next heartbeat. */
  _refreshPosition(position: string): void
}

// From this share of the window on, a position may be evicted soon. Heartbeats cost nothing more as positions.
const HEARTBEAT_SHARE = 1 / 2
const REFRESH_SHARE = 3 / 4
// How much of the window passes between two checks of all clients.
const CHECK_SHARE = 1 / 4

// A newer position replaces an older one in a queue that conflates. No event has this key.
const POSITION_KEY = '\0position'

/** Encodes the positions of one hub, and keeps those of its clients current. */
export class PositionKeeper implements Flushable {
  readonly #store: EventStore
  readonly #kind: Positions
  readonly #holders: () => Iterable<PositionHolder>
  // Clients at the same position share its frame.
  #last: { readonly id: string; readonly frame: Frame } | undefined
  #checkedAt: string | undefined
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
  frameAt(id: string): Frame {
    if (this.#last?.id !== id) this.#last = { id, frame: this.#encode(id) }
    return this.#last.frame
  }

  /** Whether more than a share of the window lies after a position, as far as it concerns some channels. */
  isStale(position: string, channels: readonly string[], share = HEARTBEAT_SHARE): boolean {
    if (!this.isEnabled || position === this.#store.position) return false
    const staleness = this.#store.staleness?.(position, channels)
    // A store that cannot tell has an unknown window, so that each heartbeat is a position.
    return staleness === undefined ? share === HEARTBEAT_SHARE : staleness > share
  }

  /** Whether a position should not wait for the next heartbeat. */
  isUrgent(position: string, channels: readonly string[]): boolean {
    return this.isStale(position, channels, REFRESH_SHARE)
  }

  /** Checks the clients at the end of the turn, if enough was published since the last check. */
  onEntry(): void {
    if (this.#isScheduled || !this.isEnabled || !this.#store.staleness) return
    this.#isScheduled = true
    turn.scheduleFlush(this)
  }

  /** @internal */
  _flush(): void {
    this.#isScheduled = false
    // A position MUST NOT overtake entries before it.
    turn.fanOutNow()
    const { position } = this.#store
    this.#checkedAt ??= position
    // A store that evicts each channel separately returns 0 for no channels. Only `deliver` then checks its clients.
    if (!this.isStale(this.#checkedAt, [], CHECK_SHARE)) return
    this.#checkedAt = position
    for (const holder of this.#holders()) holder._refreshPosition(position)
  }

  #encode(id: string): Frame {
    const event = this.#kind === 'id' ? { id } : { id, event: 'position', data: '{}' }
    return Frame.of(encode(event), 0, POSITION_KEY)
  }
}
