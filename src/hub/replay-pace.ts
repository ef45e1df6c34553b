import { READ_AHEAD_BYTES } from '../event/source.ts'
import { ReplayTurn } from '../scheduler/replay-turns.ts'
import type { SseStream } from '../stream/stream.ts'

/** The pace of one replay: that of its client, in turns with the other replays of the process. */
export class ReplayPace {
  readonly #stream: SseStream
  readonly #isNeeded: () => boolean
  readonly #turn: ReplayTurn

  /** `isNeeded`: whether the client waits for the replay. The connection MUST be notified when that changes. */
  constructor(stream: SseStream, isNeeded: () => boolean) {
    this.#stream = stream
    this.#isNeeded = isNeeded
    this.#turn = new ReplayTurn(() => stream._connection.notify())
  }

  /** How many bytes the client's queue has room for. 0: none before everything queued was written. */
  get room(): number {
    const { _isIdle, bufferedEvents, bufferedBytes } = this.#stream
    return _isIdle || bufferedEvents > 0 ? Math.max(0, READ_AHEAD_BYTES - bufferedBytes) : 0
  }

  /** Begins a turn, if the client has room and other replays do not wait. */
  begin(): boolean {
    return this.room > 0 && this.#turn.begin()
  }

  /** Waits until `begin` may succeed, or until the replay is not needed. */
  async untilReadable(): Promise<void> {
    if (this.room > 0) await this.#until(() => this.#turn.isGranted)
    else await this.untilIdle()
  }

  /** Waits until everything queued was written, or until the replay is not needed. */
  async untilIdle(): Promise<void> {
    this.#turn.cancel()
    await this.#until(() => this.#stream._isIdle)
  }

  /** Waits for a page, and then for a turn to send it, because pages of many replays may arrive together. */
  async inTurn<T>(page: Promise<T>): Promise<T> {
    this.#turn.cancel()
    const result = await page
    if (!this.#turn.begin()) await this.#until(() => this.#turn.isGranted)
    return result
  }

  /** Ends a turn, after work that counts as this many bytes. */
  end(bytes: number): void {
    this.#turn.end(bytes)
  }

  /** Ends a turn without work, or withdraws the request for one. */
  cancel(): void {
    this.#turn.cancel()
  }

  #until(isReady: () => boolean): Promise<void> {
    return this.#stream._connection.waitUntil(() => !this.#isNeeded() || isReady())
  }
}
