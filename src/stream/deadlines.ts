import { clock, type TimerTarget } from '../scheduler/clock.ts'
import { expiresAt, NEVER, nextHeartbeat } from '../scheduler/jitter.ts'
import type { StreamSettings } from './options.ts'
import type { Output } from './output.ts'

/** Acts when a deadline is due. */
export interface DeadlineOwner {
  /** Whether the stream can still expire, because its end was not begun. */
  readonly isOpen: boolean
  /** @internal */
  _flush(): void
  /** @internal The kernel has accepted nothing for `stallTimeout`. */
  _stalled(): void
  /** @internal Nothing was written for `heartbeat`. */
  _silent(): void
  /** @internal The maximum duration is over. */
  _expired(): void
}

/** The deadlines of one connection, as one timer on the shared clock. */
export class Deadlines implements TimerTarget {
  /** @internal */
  _earlier: TimerTarget | undefined
  /** @internal */
  _later: TimerTarget | undefined
  readonly #settings: StreamSettings
  readonly #output: Output
  readonly #owner: DeadlineOwner
  readonly #phase: number
  #expiresAt: number
  // The time of a flush that is not at the end of a turn.
  #flushesAt = NEVER
  #isCancelled = false

  constructor(settings: StreamSettings, output: Output, owner: DeadlineOwner) {
    this.#settings = settings
    this.#output = output
    this.#owner = owner
    this.#phase = Math.floor(Math.random() * settings.heartbeat)
    this.#expiresAt = expiresAt(output.lastWrite, settings.maxDuration)
  }

  /** Sets the timer for the next deadline. MUST be called when the kernel's buffer has become full or has drained. */
  schedule(): void {
    if (this.#isCancelled) return
    const end = this.#owner.isOpen ? this.#expiresAt : NEVER
    const deadline = Math.min(this.#flushesAt, this.#stallsAt, this.#beatsAt, end)
    if (Number.isFinite(deadline)) clock.schedule(this, deadline)
    else clock.cancel(this)
  }

  /** Starts the deadlines anew. */
  restart(): void {
    this.#output.lastWrite = clock.read()
    this.#expiresAt = expiresAt(this.#output.lastWrite, this.#settings.maxDuration)
    this.schedule()
  }

  expireBy(time: number): void {
    this.#expiresAt = Math.min(this.#expiresAt, time)
    this.schedule()
  }

  flushAt(time: number): void {
    this.#flushesAt = time
    this.schedule()
  }

  cancelFlush(): void {
    this.#flushesAt = NEVER
  }

  cancel(): void {
    clock.cancel(this)
    this.#isCancelled = true
  }

  /** @internal */
  _onTimer(now: number): void {
    if (now >= this.#flushesAt) this.#owner._flush()
    // Time in which the event loop was blocked does not count, because it may take several turns to write what waits.
    if (now >= this.#stallsAt) this.#output.lastWrite += clock.late
    if (now >= this.#stallsAt) this.#owner._stalled()
    // A heartbeat would only wait behind those bytes.
    else if (now >= this.#beatsAt && this.#stallsAt === NEVER) this.#owner._silent()
    if (now >= this.#expiresAt && this.#owner.isOpen) this.#owner._expired()
    this.schedule()
  }

  // Bytes that still wait in the transport when a heartbeat is due count like a full kernel.
  get #stallsAt(): number {
    const { stallTimeout } = this.#settings
    const output = this.#output
    const isWaiting =
      output.isFull || (clock.now >= this.#beatsAt && clock.hasTurned && output.transport.hasUnsent)
    return isWaiting && stallTimeout > 0 ? output.lastWrite + stallTimeout : NEVER
  }

  get #beatsAt(): number {
    const { isFull, lastWrite } = this.#output
    return isFull ? NEVER : nextHeartbeat(lastWrite, this.#settings.heartbeat, this.#phase)
  }
}
