import { clock, type TimerTarget } from '../scheduler/clock.ts'
import { expiresAt, NEVER, nextHeartbeat } from '../scheduler/jitter.ts'
import type { StreamSettings } from './options.ts'
import type { Output } from './output.ts'

/** Receives a notification when one of its deadlines is due. */
export interface DeadlineOwner {
  readonly settings: StreamSettings
  readonly output: Output
  readonly isClosed: boolean
  /** Whether the stream can still expire, because its end was not begun. */
  readonly isOpen: boolean
  /** @internal */
  _flush(): void
  /** @internal The kernel has accepted nothing for `stallTimeout`. */
  _stalled(): void
  /** @internal Nothing was written for `heartbeat`. */
  _silent(): void
  /** @internal The maximum duration has passed. */
  _expired(): void
}

/** The deadlines of one connection, as one timer on the shared clock. */
export class Deadlines implements TimerTarget {
  /** @internal */
  _earlier: TimerTarget | undefined
  /** @internal */
  _later: TimerTarget | undefined
  readonly #owner: DeadlineOwner
  readonly #phase: number
  // Undefined means never, because V8 would box `NEVER` in each stream.
  #expiresAt: number | undefined
  // The time of a flush that is not at the end of a turn.
  #flushesAt: number | undefined

  /** The owner MUST have its settings and its output already. */
  constructor(owner: DeadlineOwner) {
    this.#owner = owner
    this.#phase = Math.floor(Math.random() * owner.settings.heartbeat)
    this.#restartDuration()
  }

  /** Sets the timer for the next deadline. MUST be called when the kernel's buffer has become full or has drained. */
  schedule(): void {
    if (this.#owner.isClosed) return
    const end = (this.#owner.isOpen && this.#expiresAt) || NEVER
    const deadline = Math.min(this.#flushesAt ?? NEVER, this.#stallsAt, this.#beatsAt, end)
    if (Number.isFinite(deadline)) clock.schedule(this, deadline)
    else clock.cancel(this)
  }

  /** Restarts the deadlines. */
  restart(): void {
    this.#owner.output.lastWrite = clock.read()
    this.#restartDuration()
    this.schedule()
  }

  expireBy(time: number): void {
    this.#expiresAt = Math.min(this.#expiresAt ?? NEVER, time)
    this.schedule()
  }

  flushAt(time: number): void {
    this.#flushesAt = time
    this.schedule()
  }

  cancelFlush(): void {
    this.#flushesAt = undefined
  }

  cancel(): void {
    clock.cancel(this)
  }

  /** @internal */
  _onTimer(now: number): void {
    if (now >= (this.#flushesAt ?? NEVER)) this.#owner._flush()
    // Time in which the event loop was blocked does not count, because the waiting bytes may be written over several
    // turns.
    if (now >= this.#stallsAt) this.#owner.output.lastWrite += clock.late
    if (now >= this.#stallsAt) this.#owner._stalled()
    // A heartbeat would only wait behind the unsent bytes.
    else if (now >= this.#beatsAt && this.#stallsAt === NEVER) this.#owner._silent()
    if (now >= (this.#expiresAt ?? NEVER) && this.#owner.isOpen) this.#owner._expired()
    this.schedule()
  }

  #restartDuration(): void {
    const { settings, output } = this.#owner
    const time = expiresAt(output.lastWrite, settings.maxDuration)
    this.#expiresAt = time === NEVER ? undefined : Math.round(time)
  }

  // Bytes that still wait in the transport when a heartbeat is due count like a full kernel.
  get #stallsAt(): number {
    const { stallTimeout } = this.#owner.settings
    const output = this.#owner.output
    const isWaiting =
      output.isFull || (clock.now >= this.#beatsAt && clock.hasTurned && output.transport.hasUnsent)
    return isWaiting && stallTimeout > 0 ? output.lastWrite + stallTimeout : NEVER
  }

  get #beatsAt(): number {
    const { isFull, lastWrite } = this.#owner.output
    return isFull ? NEVER : nextHeartbeat(lastWrite, this.#owner.settings.heartbeat, this.#phase)
  }
}
