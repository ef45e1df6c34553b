import { type Flushable, turn } from './turn.ts'

// How much all replays send in one turn of the event loop, in bytes: about a millisecond of work.
const BYTES_PER_TURN = 250 * 1024

/** The replays of a process that wait for their turn, in the order in which they began to wait. */
class ReplayTurns implements Flushable {
  readonly #waiting = new Set<ReplayTurn>()
  // Visits them in order, and never ends, because it is used only while one waits. A new iterator would visit all places at
  // the front that were deleted, which is quadratic.
  readonly #order = this.#waiting.values()
  // The replay that has its turn. One at a time, because only the end of a turn shows how much was spent.
  #current: ReplayTurn | undefined
  #spent = 0
  #isScheduled = false

  /** Begins the turn of a replay, if no other one has or awaits it. Otherwise the replay waits for it. */
  begin(replay: ReplayTurn): boolean {
    if (this.#waiting.size === 0 && this.#isFree) {
      this.#current = replay
      return true
    }
    this.#waiting.add(replay)
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

  /** @internal After the live events of the turn. Continues without a replay that has not ended its turn. */
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
    if (this.#waiting.size === 0 || !this.#isFree) return
    const next = this.#order.next().value as ReplayTurn
    this.#waiting.delete(next)
    this.#current = next
    next._grant()
  }
}

const turns = new ReplayTurns()

/**
 * The turn of one replay. All replays of a process share a budget for each turn of the event loop, so that live events and
 * sockets wait for at most a millisecond. A replay on an idle process need not wait.
 */
export class ReplayTurn {
  #isGranted = false
  readonly #onGranted: () => void

  /** `onGranted` is called when a turn that was requested begins. */
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
