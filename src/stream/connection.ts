import { Condition } from '../condition.ts'
import type { Frame } from '../event/frame.ts'
import { READ_AHEAD_BYTES } from '../event/source.ts'
import { HEARTBEAT } from '../formats/event-stream.ts'
import { clock, type TimerTarget } from '../scheduler/clock.ts'
import { expiresAt, NEVER, nextHeartbeat } from '../scheduler/jitter.ts'
import { type Flushable, flushAfterTurn } from '../scheduler/turn.ts'
import type { Transport, TransportOwner } from '../transports/transport.ts'
import { Backlog } from './backlog.ts'
import type { CloseReason } from './close-reason.ts'
import type { StreamSettings } from './options.ts'

/** What a connection tells its stream. */
export interface ConnectionOwner {
  /** @internal All that waited has left, after the client had been behind for `lag` ms. */
  _caughtUp(lag: number): void
  /** @internal A backlog at its bound dropped so many events, or may drop none: `OVERFLOW`. */
  _overflowed(dropped: number): void
  /** @internal The connection has reached its maximum age. */
  _expired(): void
  /** @internal Nothing can be written any more. Said once. */
  _onClosed(reason: CloseReason, error?: unknown): void
}

/** The way to one client: what waits for it, whether its kernel takes more, and its deadlines. */
export class Connection implements TransportOwner, TimerTarget, Flushable {
  readonly openedAt = clock.now
  sentEvents = 0
  sentBytes = 0
  #transport: Transport
  readonly #settings: StreamSettings
  readonly #owner: ConnectionOwner
  readonly #phase: number
  readonly #expiresAt: number
  readonly #isImmediate: boolean
  #backlog: Backlog
  #state: 'open' | 'ending' | 'ended' | 'over' = 'open'
  #isFlushDue = false
  // When a flush is due that is not at the end of a turn.
  #flushesAt = NEVER
  #isFull = false
  #lagSince: number | undefined
  #lastWrite = this.openedAt
  #timerTick = 0
  #waiters: Condition | undefined

  constructor(transport: Transport, settings: StreamSettings, owner: ConnectionOwner) {
    this.#transport = transport
    this.#settings = settings
    this.#owner = owner
    this.#backlog = new Backlog(settings)
    this.#phase = Math.floor(Math.random() * settings.heartbeat)
    this.#expiresAt = expiresAt(this.openedAt, settings.maxDuration)
    this.#isImmediate = settings.flushInterval === 0 && !settings.rateLimit
  }

  open(): void {
    this.#transport.open(this)
    if (this.#settings.heartbeat === 0) this.#transport.probe()
    this.#schedule()
  }

  get backlog(): Backlog {
    return this.#backlog
  }

  /** Whether the kernel has taken all there was. */
  get isIdle(): boolean {
    return this.#backlog.length === 0 && !this.#isFull
  }

  get isClosed(): boolean {
    return this.#state === 'over'
  }

  /** Takes a frame, to be written at the end of the turn or when there is room. False: hold back, or it was dropped. */
  enqueue(frame: Frame): boolean {
    // A burst over the bound is no lag while the kernel takes it.
    if (!this.#isFull && !this.#backlog.fits(frame)) this._flush()
    const dropped = this.#backlog.offer(frame, this.#isFull)
    if (dropped !== 0) this.#owner._overflowed(dropped)
    if (!this.#isFull) this.#flushSoon()
    return dropped === 0 && !this.#isFull
  }

  /** Whether a frame may be written past the queue: nothing waits, and nothing is to be waited for. */
  get canBypassQueue(): boolean {
    return this.#isImmediate && !this.#isFlushDue && !this.#isFull && this.#state === 'open'
  }

  /** Whether a sender that can wait should send this now, and not when all has left. */
  hasRoomFor(frame: Frame): boolean {
    const { length, bytes } = this.#backlog
    return this.isIdle || (length > 0 && bytes < READ_AHEAD_BYTES && this.#backlog.fits(frame))
  }

  /** Goes on with what waited elsewhere, when nothing waits here. */
  continueWith(backlog: Backlog): void {
    this.#backlog = backlog
    // Who was told to hold back is told when that is over.
    if (backlog.length > 0) this.#lagSince ??= clock.now
    this.#flushSoon()
  }

  /** Waits for a condition that emptying, ending or losing the connection can bring about. */
  waitUntil(isReady: () => boolean): Promise<void> {
    this.#waiters ??= new Condition()
    return this.#waiters.until(isReady)
  }

  /** Lets everybody who waits look again. */
  notify(): void {
    this.#waiters?.notify()
  }

  /** Ends the body after what waits. */
  end(): void {
    if (this.#state !== 'open') return
    this.#state = 'ending'
    this._flush()
  }

  /** Cuts the connection now. */
  destroy(reason: CloseReason, error?: unknown): void {
    if (this.isClosed) return
    this.#transport.destroy()
    this.#finish(reason, error)
  }

  /** @internal */
  _flush(): void {
    this.#isFlushDue = false
    this.#flushesAt = NEVER
    while (!this.#isFull && this.#backlog.length > 0) {
      const run = this.#backlog.take(clock.now)
      if (run) this.write(run)
      else return void this.#flushAt(this.#backlog.nextAt())
    }
    if (this.isIdle && !this.isClosed) this.#onDrained()
  }

  /** @internal */
  _drained(): void {
    if (this.#state === 'ended') return
    this.#isFull = false
    this._flush()
    // The bed of a stream that was full is that of its stall deadline.
    if (!this.#isFull) this.#schedule()
  }

  /** @internal */
  _progressed(): void {
    this.#lastWrite = clock.now
  }

  /** @internal */
  _closed(error?: Error): void {
    if (error) this.destroy('error', error)
    else this.#finish('client')
  }

  /** @internal */
  _goesOnThrough(transport: Transport): void {
    this.#transport = transport
  }

  /** @internal */
  _onTimer(now: number): void {
    this.#timerTick = 0
    if (now >= this.#flushesAt) this._flush()
    if (now >= this.#stallsAt()) this.destroy('stalled')
    else if (now >= this.#beatsAt()) {
      this.#transport.probe()
      this.write(HEARTBEAT)
    }
    if (now >= this.#expiresAt && this.#state === 'open') this.#owner._expired()
    this.#schedule()
  }

  #flushSoon(): void {
    if (this.#isFlushDue) return
    this.#isFlushDue = true
    const { flushInterval } = this.#settings
    if (flushInterval > 0) this.#flushAt(clock.now + flushInterval)
    else flushAfterTurn(this)
  }

  #flushAt(time: number): void {
    this.#isFlushDue = true
    this.#flushesAt = time
    this.#schedule()
  }

  /** Writes a frame, when it `takesNow`. */
  write(frame: Frame): void {
    if (this.isClosed) return
    this.#lastWrite = clock.now
    this.sentEvents += frame.events
    this.sentBytes += frame.size
    try {
      if (!this.#transport.write(frame)) this.#markFull()
    } catch (error) {
      // A middleware's own `write` may throw.
      this.destroy('error', error)
    }
  }

  #markFull(): void {
    this.#lagSince ??= clock.now
    this.#isFull = true
    this.#schedule()
  }

  #onDrained(): void {
    const since = this.#lagSince
    this.#lagSince = undefined
    if (since !== undefined) this.#owner._caughtUp(clock.now - since)
    this.notify()
    if (this.#state === 'ending' && this.isIdle) this.#sendEnd()
  }

  #sendEnd(): void {
    this.#state = 'ended'
    // The end waits for room like all else: a client that never reads it stalls.
    this.#lastWrite = clock.now
    this.#markFull()
    try {
      this.#transport.end()
    } catch (error) {
      this.destroy('error', error)
    }
  }

  #finish(reason: CloseReason, error?: unknown): void {
    if (this.isClosed) return
    this.#state = 'over'
    this.#backlog = new Backlog(this.#settings)
    clock.cancel(this, this.#timerTick)
    this.#owner._onClosed(reason, error)
    this.notify()
  }

  #stallsAt(): number {
    const { stallTimeout } = this.#settings
    return this.#isFull && stallTimeout > 0 ? this.#lastWrite + stallTimeout : NEVER
  }

  #beatsAt(): number {
    return this.#isFull ? NEVER : nextHeartbeat(this.#lastWrite, this.#settings.heartbeat, this.#phase)
  }

  #schedule(): void {
    clock.cancel(this, this.#timerTick)
    if (this.isClosed) return
    const expiresAt = this.#state === 'open' ? this.#expiresAt : NEVER
    const deadline = Math.min(this.#flushesAt, this.#stallsAt(), this.#beatsAt(), expiresAt)
    this.#timerTick = Number.isFinite(deadline) ? clock.schedule(this, deadline) : 0
  }
}
