import { READ_AHEAD_BYTES } from '../event/source.ts'
import { ReplayTurn } from '../scheduler/replay-turns.ts'
import type { Page } from '../stores/event-store.ts'
import type { LogEntry } from '../stores/log-entry.ts'
import type { ReplayedClient } from './replayed-client.ts'

/** The lowest cost of an entry that a filter hides, in bytes of the turn of a replay. */
export const HIDDEN_COST = 512

const PAGE_COST = 4 * 1024
const CHANNEL_COST = 64

/** Returns the cost of reading a page of some channels, in bytes of the turn of a replay. */
export function pageCost(channels: readonly string[]): number {
  return PAGE_COST + channels.length * CHANNEL_COST
}

/** The pace of one replay, which depends on its client and on the other replays of the process. */
export class ReplayPace {
  readonly #client: ReplayedClient
  // Created when it is requested, because most clients have missed no events.
  #turn: ReplayTurn | undefined

  constructor(client: ReplayedClient) {
    this.#client = client
  }

  /** The room in the client's queue, in bytes. 0 if nothing is sent before everything queued was written. */
  get room(): number {
    const { _isIdle, bufferedEvents, bufferedBytes } = this.#client.stream
    return _isIdle || bufferedEvents > 0 ? Math.max(0, READ_AHEAD_BYTES - bufferedBytes) : 0
  }

  /** Whether an entry is sent now, and not after everything queued was written. */
  hasRoomFor(entry: LogEntry): boolean {
    const { stream } = this.#client
    return stream._hasRoomFor(entry.frameIn(stream._format))
  }

  /** Begins a turn, if the client has room and other replays do not wait. */
  begin(): boolean {
    return this.room > 0 && this.#beginTurn()
  }

  /** Waits until `begin` may succeed, or until the replay has ended. */
  untilReadable(): Promise<void> {
    return this.room > 0 ? this.#untilTurn() : this.untilIdle()
  }

  /** Waits until everything queued was written, or until the replay has ended. */
  untilIdle(): Promise<void> {
    this.cancel()
    return this.#until(() => this.#client.stream._isIdle)
  }

  /** Waits for a page, and then for a turn to send it, because pages of many replays may arrive together. */
  async inTurn(pending: Promise<Page>): Promise<Page> {
    this.cancel()
    const page = await pending
    if (!this.#beginTurn()) await this.#holding(sizeOf(page), this.#untilTurn())
    return page
  }

  /** Waits as `untilIdle` does. Meanwhile, these bytes count as buffered, although they are not queued. */
  untilIdleHolding(bytes: number): Promise<void> {
    return this.#holding(bytes, this.untilIdle())
  }

  /** Ends a turn, after work that counts as this many bytes. */
  end(bytes: number): void {
    this.#turn?.end(bytes)
  }

  /** Ends a turn without work, or withdraws the request for one. */
  cancel(): void {
    this.#turn?.cancel()
  }

  #beginTurn(): boolean {
    this.#turn ??= new ReplayTurn(() => this.#client.stream._connection.notify())
    return this.#turn.begin()
  }

  #untilTurn(): Promise<void> {
    return this.#until(() => this.#turn?.isGranted === true)
  }

  async #holding(bytes: number, wait: Promise<void>): Promise<void> {
    const { _connection: connection } = this.#client.stream
    connection.waitingBytes += bytes
    await wait
    connection.waitingBytes -= bytes
  }

  #until(isReady: () => boolean): Promise<void> {
    return this.#client.stream._connection.waitUntil(() => !this.#client.isActive || isReady())
  }
}

function sizeOf(page: Page): number {
  return page === 'gap' ? 0 : page.entries.reduce((sum, { size }) => sum + size, 0)
}
