import { OrderedMap } from '../ordered-map.ts'
import { type Flushable, turn } from './turn.ts'

// The bytes that all replays send in one turn of the event loop, which is about a millisecond of work.
const BYTES_PER_TURN = 250 * 1024

/** The replays of a process that wait for their turn, in the order in which they began to wait. */
class ReplayTurns implements Flushable {
  readonly #waiting = new OrderedMap<ReplayTurn, true>()
  // The replay that has its turn. There is at most one, because the bytes of a turn are counted only at its end.
  #current: ReplayTurn | undefined
  #spent = 0
  #isScheduled = false

  /**
   * Begins the turn of a replay, if no other replay has or awaits one and the budget is not spent. Otherwise queues the
   * replay. Returns whether the turn has begun.
   */
  begin(replay: ReplayTurn): boolean {
    if (this.#waiting.size === 0 && this.#isFree) {
      this.#current = replay
      return true
    }
    this.#waiting.set(replay, true)
    this.#schedule()
    return false
  }

  /** Ends a turn after work that counts as this many bytes, and begins the next one. */
  end(replay: ReplayTurn, bytes: number): void {
    if (this.#current === replay) this.#current = undefined
    this.#spent += bytes
    this.#schedule()
    this.#grantNext()
  }

  delete(replay: ReplayTurn): void {
    this.#waiting.delete(replay)
  }

  /**
   * @internal Called after the live events of the turn. Continues with the next replay, even if the present one has not
   * ended its turn.
   */
  _flush(): void {
    this.#isScheduled = false
    this.#spent = 0
    this.#current = undefined
    if (this.#waiting.size > 0) this.#schedule()
    this.#grantNext()
  }

  get #isFree(): boolean {
    return !this.#current && this.#spent < BYTES_PER_TURN
  }

  #schedule(): void {
    if (!this.#isScheduled) turn.scheduleFlush(this)
    this.#isScheduled = true
  }

  #grantNext(): void {
    const next = this.#isFree ? this.#waiting.shift() : undefined
    if (!next) return
    this.#current = next
    next._grant()
  }
}

const turns = new ReplayTurns()

/**
 * The turn of one replay. All replays of a process share a budget for each turn of the event loop. Live events and
 * sockets thus wait for at most a millisecond. A replay on an idle process need not wait.
 */
export class ReplayTurn {
  #isGranted = false
  readonly #onGranted: () => void

  /** `onGranted` is called when a requested turn begins. */
  constructor(onGranted: () => void) {
    this.#onGranted = onGranted
  }

  get isGranted(): boolean {
    return this.#isGranted
  }

  /** Begins the turn if that is possible now, otherwise requests it. Returns whether it has begun. */
  begin(): boolean {
    this.#isGranted ||= turns.begin(this)
    return this.#isGranted
  }

  /** Ends the turn, after work that counts as this many bytes. */
  end(bytes: number): void {
    this.#isGranted = false
    turns.end(this, bytes)
  }

  /** Ends the turn without work, or withdraws the request. */
  cancel(): void {
    turns.delete(this)
    if (this.#isGranted) this.end(0)
  }

  /** @internal */
  _grant(): void {
    this.#isGranted = true
    this.#onGranted()
  }
}
