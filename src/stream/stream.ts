import { EventEmitter } from 'node:events'
import { checkOptions } from '../check-options.ts'
import type { AnyEvents, EventMap, SseEvent } from '../event/event.ts'
import { Frame } from '../event/frame.ts'
import { closeSource, type MaybePromise, readSource, type Source } from '../event/source.ts'
import { eventFrame, type Format, type FormatName } from '../formats/format.ts'
import { turn } from '../scheduler/turn.ts'
import type { Transport } from '../transports/transport.ts'
import type {
  CloseTarget,
  PollCache,
  PositionSource,
  Reauthorization,
  SharedBatch,
  SseStreamEventMap,
} from './attachments.ts'
import { OVERFLOW } from './backlog.ts'
import type { CloseReason } from './close-reason.ts'
import { closeStream } from './close-stream.ts'
import { Connection } from './connection.ts'
import { closeChannel, drainChannel, openChannel } from './diagnostics.ts'
import { DropReport, publishOverflow } from './drop-report.ts'
import { emitSafely } from './emit-safely.ts'
import { Expiry } from './expiry.ts'
import type { StreamSettings } from './options.ts'
import type { Origin } from './origin.ts'
import type { OpenTransport } from './output.ts'
import { NO_CONTEXT, type SseContext } from './register.ts'
import { Replayer } from './replay.ts'
import type { ResumePoint } from './resume-point.ts'
import { StreamEnd } from './stream-end.ts'

// The value of `retry` is checked where it is encoded.
const CLOSE_CHECKS = { retry: () => undefined }

/**
 * An event stream to one client. It sends events, buffers what the client has not read yet, and closes once, with a
 * reason. Created by `createSseStream` and the adapters.
 */
export class SseStream<
  Events extends EventMap = AnyEvents,
  Request = unknown,
> extends EventEmitter<SseStreamEventMap> {
  /** The request, as the framework passes it to a handler: with Koa, `context.request`. */
  readonly request: Request
  /**
   * The data of the application about the client, for example `{ userId }`. Set by `authorize`, by the option
   * `context`, or by assignment. Default: an empty object.
   */
  context: SseContext
  readonly #resumePoint: ResumePoint
  /** @internal For parts of the library that delay the response headers or the end, or that send after the end. */
  readonly _connection: Connection
  /** @internal Set by the hub to which the stream is subscribed. */
  _positions: PositionSource | undefined
  /** @internal Set for a long poll whose response a cache may keep. */
  _pollCache: PollCache | undefined
  /** @internal Set for a route with `authorize`. */
  _reauthorization: Reauthorization | undefined
  #replayer: Replayer | undefined
  readonly #end = new StreamEnd()
  #isReported = false
  #expiry: Expiry | undefined
  // Created with the first dropped event.
  #drops: DropReport | undefined

  private constructor(settings: StreamSettings, resumePoint: ResumePoint, origin: Origin) {
    super()
    // Most streams have no listeners. Node.js creates the object for them again with the first one.
    ;(this as { _events?: object | undefined })._events = undefined
    this.request = origin.request as Request
    this.context = origin.context ?? NO_CONTEXT
    this.#resumePoint = resumePoint
    this._connection = new Connection(settings, this)
    if (!origin.isUndecided) this._opened()
  }

  /** @internal Creates a stream over an open transport, or over one that opens with the first write or `begin`. */
  static _open(
    transport: Transport | OpenTransport,
    settings: StreamSettings,
    resumePoint: ResumePoint,
    origin: Origin = {},
  ): SseStream {
    const stream = new SseStream(settings, resumePoint, origin)
    stream._connection.start(transport, origin.isUndecided)
    if (origin.expiresAt !== undefined) stream.expiresAt = origin.expiresAt
    if (!origin.isUndecided) stream._startReplay()
    return stream
  }

  /** @internal Reports the stream, once its context is known. */
  _opened(): void {
    if (!this.#isReported && openChannel.hasSubscribers) openChannel.publish({ stream: this })
    this.#isReported = true
  }

  /** @internal Creates a stream that is closed already. */
  static _closed(
    reason: CloseReason,
    settings: StreamSettings,
    resumePoint: ResumePoint,
    origin: Origin,
  ): SseStream {
    const stream = new SseStream(settings, resumePoint, origin)
    stream.#destroy(reason)
    return stream
  }

  /** The id after which the client asks to resume. It is untrusted input, which you MUST check before use. */
  get lastEventId(): string | undefined {
    return typeof this.#resumePoint === 'object' ? this.#resumePoint.id : undefined
  }

  /** @internal Where a hub resumes this client. `new` if the stream has a replay of its own. */
  get _resumePoint(): ResumePoint {
    return this.#settings.replay ? 'new' : this.#resumePoint
  }

  /**
   * Sends an event. Returns true if the client keeps up. Returns false if you should wait for `drain` or `drained()`,
   * if the event was dropped, or if the stream is closed. Throws `SseError` if the event cannot be encoded; then
   * nothing is sent.
   */
  send(event: SseEvent<Events>): boolean {
    return !this.closed && this.#enqueue(this._frameOf(event))
  }

  /** Sends a comment, which no client dispatches. Returns the same as `send`. */
  comment(text: string): boolean {
    return !this.closed && this.#enqueue(Frame.of(this._format.encodeComment(text), 0))
  }

  /**
   * Sends the events of a source, at the client's pace. Resolves with true at its end, or with false when the stream
   * closes before; then the source is closed too. Rejects with an error of the source, or with `SseError` for an event
   * that cannot be encoded; the stream stays open.
   */
  async sendAll(source: Source<Events>): Promise<boolean> {
    if (this.closed) return closeSource(source)
    return readSource(source, this.#end.stops, (event) => this.#sendNext(this._frameOf(event)))
  }

  /** Resolves with true when nothing is queued any more, with false when the stream is closed. Never rejects. */
  async drained(): Promise<boolean> {
    turn.fanOutNow()
    await this._connection.waitUntil(() => this.closed || this._isIdle)
    return !this.closed
  }

  /**
   * Ends the stream after everything queued and after its replay, for which it waits at most 5 s. Nothing can be sent
   * any more. `retry` is the reconnection time of the client, in ms. By default, it is not changed. Throws `SseError`:
   * `ERR_SSE_OPTION`, `ERR_SSE_RETRY`.
   */
  close(options: { retry?: number | undefined } = {}): void {
    checkOptions(options, CLOSE_CHECKS)
    closeStream(this, 'server', options.retry)
  }

  /**
   * Ends the stream at once and drops everything queued. With an error, the close reason is `error`. Null counts as
   * none, because callbacks of Node.js pass it for a success.
   */
  destroy(error?: unknown): void {
    this.#destroy(error == null ? 'server' : 'error', error ?? undefined)
  }

  /**
   * When the rights of the client expire, for example its token. The stream then ends, accurate to 0.2 s, and
   * `expiringEvent` is sent before. Accepts a `Date`, a time in ms since 1970, or undefined for never. Throws
   * `SseError` `ERR_SSE_OPTION`.
   */
  get expiresAt(): Date | undefined {
    return this.#expiry?.date
  }

  set expiresAt(date: Date | number | undefined) {
    this.#expiry ??= new Expiry(this, this.#settings)
    this.#expiry.set(date)
  }

  /**
   * Calls `authorize` of the route again. Resolves with true if the client may stay connected, with false when the
   * stream is closed. Never rejects.
   */
  async reauthorize(): Promise<boolean> {
    await this._reauthorization?._recheck()
    return !this.closed
  }

  /** True from the moment nothing can be sent any more. The `close` event follows. */
  get closed(): boolean {
    return this.#end.reason !== undefined
  }

  /** Why the stream has closed. Undefined while it is open. */
  get closeReason(): CloseReason | undefined {
    return this.#end.reason
  }

  /** Aborts when the stream closes. Pass it to a database cursor, a fetch or a language model. */
  get signal(): AbortSignal {
    return this.#end.signal
  }

  /** @internal Whether `signal` was read, so that it aborts work of the application. */
  get _hasSignal(): boolean {
    return this.#end.hasSignal
  }

  /** The representation that the client receives. */
  get format(): FormatName {
    return this.#settings.poll ? 'json' : this._format.name
  }

  /** @internal */
  get _format(): Format {
    return this.#settings.format
  }

  /** Bytes queued for the client and the rest of a large event, without those in the buffers of Node and the kernel. */
  get bufferedBytes(): number {
    return this._connection.bufferedBytes
  }

  /** Events and comments queued for the client. Events published in this turn are queued at its end. */
  get bufferedEvents(): number {
    return this._connection.bufferedEvents
  }

  /** @internal Sends frames that are shared with other streams. At the end of a turn they are written at once. */
  _deliver(batch: SharedBatch, isTurnOver: boolean): void {
    if (this.closed) return void this._connection.discard(batch.length)
    const encoded = batch.in(this._format)
    if (isTurnOver && this._connection.canBypassQueue) this._connection.write(encoded.joined)
    else for (const frame of encoded.frames) this._enqueue(frame)
  }

  /** @internal Queues a frame. */
  _enqueue(frame: Frame): boolean {
    return this.closed ? this._connection.discard(frame.events) : this._connection.enqueue(frame)
  }

  /** @internal Whether a sender that can wait should send this frame now, and not after `drained()`. */
  _hasRoomFor(frame: Frame): boolean {
    return !this.#replayer && this._connection.hasRoomFor(frame)
  }

  /** @internal Whether all frames were written, including those of a replay. */
  get _isIdle(): boolean {
    return this._connection.isIdle && !this.#replayer
  }

  /** @internal */
  _release(): void {
    this._connection.release(this.closed)
  }

  /**
   * @internal Ends the stream after everything queued and `last`, but without its replay, which a hub may delay
   * forever.
   */
  _end(reason: CloseReason, error?: unknown, last?: Frame): void {
    this._markClosed(reason, error)
    this.#replayer?.stop()
    this._connection.end(last)
  }

  /** @internal Encodes an event as `send` does. */
  _frameOf(event: SseEvent): Frame {
    // Only the events of a store are the same for all clients.
    if (this._pollCache) this._pollCache.isPublic = false
    return eventFrame(event, this.#settings.serialize, this._format)
  }

  /** @internal Notifies a target once when the stream is closed, or at once if the end was reported before. */
  _addCloseTarget(target: CloseTarget): void {
    this.#end.addTarget(target, this)
  }

  get #settings(): StreamSettings {
    return this._connection.settings
  }

  #enqueue(frame: Frame): boolean {
    turn.fanOutNow()
    return this._enqueue(frame)
  }

  /** Sends an event of a source once there is room. Returns whether the source should be read further. */
  #sendNext(frame: Frame): MaybePromise<boolean> {
    // Checked again after each wait, because another source may have taken the room.
    if (!this.closed && !this._hasRoomFor(frame)) return this.drained().then(() => this.#sendNext(frame))
    this.#enqueue(frame)
    return !this.closed
  }

  /** @internal Sends the events that the client has missed, if the stream has a replay of its own. */
  _startReplay(): void {
    if (this.#settings.replay && this.#resumePoint !== 'new' && !this.closed) void this.#replay()
  }

  async #replay(): Promise<void> {
    this.#replayer = new Replayer(this, this._connection, this.#settings)
    const error = await this.#replayer.run()
    if (error) this._end('replay', error)
    this.#replayer = undefined
    this._release()
  }

  /** @internal */
  _overflowed(dropped: number): void {
    const { overflow } = this.#settings
    if (dropped === OVERFLOW) {
      publishOverflow(this, overflow, 0)
      this.#destroy('overflow')
    } else {
      this.#drops ??= new DropReport(this, overflow)
      this.#drops.add(dropped)
    }
  }

  /** @internal */
  _caughtUp(lag: number): void {
    if (drainChannel.hasSubscribers) drainChannel.publish({ stream: this, lag })
    this.#drops?._flush()
    if (!this.closed) emitSafely(this, 'drain')
  }

  /** @internal */
  _heartbeat(): Frame | undefined {
    return this._positions?._heartbeat()
  }

  /** @internal */
  _pageFull(): void {
    this._markClosed('poll')
  }

  /** @internal The client requests the rest of a replay when it reconnects. */
  _expired(): void {
    this._end(this.#settings.poll ? 'poll' : 'expired')
  }

  /** @internal */
  _onClosed(reason: CloseReason, error?: unknown): void {
    this._markClosed(reason, error)
    this.#replayer?.stop()
    this._opened()
    if (closeChannel.hasSubscribers) closeChannel.publish({ stream: this, ...this.#summary() })
    queueMicrotask(() => this.#reportClosed())
  }

  #destroy(reason: CloseReason, error?: unknown): void {
    this._markClosed(reason, error)
    this._connection.destroy(reason, error)
  }

  /** @internal Nothing can be sent any more. The first reason stays. */
  _markClosed(reason: CloseReason, error?: unknown): void {
    if (this.#end.mark(reason, error)) this._connection.notify()
  }

  // Targets in the library are notified first, so that they do not depend on the application's listeners.
  #reportClosed(): void {
    this.#end.notifyTargets(this)
    this.#drops?._flush()
    emitSafely(this, 'close', this.#end.reason as CloseReason, this.#end.error)
  }

  #summary() {
    const { reason, error } = this.#end
    return { reason: reason as CloseReason, error, ...this._connection.summary }
  }
}
