import { EventEmitter } from 'node:events'
import { checkOptions } from '../check-options.ts'
import { closeChannel, drainChannel, openChannel } from '../diagnostics.ts'
import type { AnyEvents, EventMap, SseEvent } from '../event/event.ts'
import { Frame } from '../event/frame.ts'
import { closeSource, readSource, type Source, type StopCallbacks } from '../event/source.ts'
import { eventFrame, type Format, type FormatName } from '../formats/format.ts'
import { clock } from '../scheduler/clock.ts'
import { outsideRequests } from '../scheduler/context.ts'
import { turn } from '../scheduler/turn.ts'
import type { Transport } from '../transports/transport.ts'
import type { CloseTarget, PollCache, PositionSource, SharedBatch, SseStreamEventMap } from './attachments.ts'
import { OVERFLOW } from './backlog.ts'
import type { CloseReason } from './close-reason.ts'
import { Connection } from './connection.ts'
import { DropReport, publishOverflow } from './drop-report.ts'
import type { StreamSettings } from './options.ts'
import type { OpenTransport } from './output.ts'
import { Replayer } from './replay.ts'
import type { ResumePoint } from './resume-point.ts'

// The value of `retry` is checked where it is encoded.
const CLOSE_CHECKS = { retry: () => undefined }

// How long `close` waits for a replay, in ms.
const CLOSE_GRACE = 5_000

/**
 * An event stream to one client. It sends events, buffers what the client has not read yet, and closes once, with a
 * reason. Created by `createSseStream` and the adapters.
 */
export class SseStream<Events extends EventMap = AnyEvents> extends EventEmitter<SseStreamEventMap> {
  /** The id after which the client wants to resume. It is untrusted input: check it before use. */
  readonly lastEventId: string | undefined
  /** @internal Where a hub resumes this client. `new` if the stream has a replay of its own. */
  readonly _resumePoint: ResumePoint
  readonly #settings: StreamSettings
  readonly #connection: Connection
  /** @internal Set by the hub to which the stream is subscribed. */
  _positions: PositionSource | undefined
  /** @internal Set for a long poll whose response a cache may keep. */
  _pollCache: PollCache | undefined
  #replayer: Replayer | undefined
  #stops: StopCallbacks | undefined
  #closeReason: CloseReason | undefined
  #error: unknown
  #abortController: AbortController | undefined
  // A list only from the second target on, because most streams have one.
  #closeTargets: CloseTarget | CloseTarget[] | undefined
  #isReported = false
  // Created with the first dropped event.
  #drops: DropReport | undefined

  private constructor(settings: StreamSettings, resumePoint: ResumePoint) {
    super()
    this.lastEventId = typeof resumePoint === 'object' ? resumePoint.id : undefined
    this._resumePoint = settings.replay ? 'new' : resumePoint
    this.#settings = settings
    this.#connection = new Connection(settings, this)
    if (openChannel.hasSubscribers) openChannel.publish({ stream: this })
  }

  /** @internal Creates a stream over a transport that is open, or that opens with the first write or `_begin`. */
  static _open(
    transport: Transport | OpenTransport,
    settings: StreamSettings,
    resumePoint: ResumePoint,
  ): SseStream {
    const stream = new SseStream(settings, resumePoint)
    stream.#connection.start(transport)
    if (settings.replay && resumePoint !== 'new') stream.#startReplay()
    return stream
  }

  /** @internal Creates a stream that is closed already. */
  static _closed(reason: CloseReason, settings: StreamSettings, resumePoint: ResumePoint): SseStream {
    const stream = new SseStream(settings, resumePoint)
    stream.#destroy(reason)
    return stream
  }

  /**
   * Sends an event. Returns true if the client keeps up. Returns false if you should wait for `drain` or `drained()`, if
   * the event was dropped, or if the stream is closed. Throws `SseError` if the event cannot be encoded; then nothing is
   * sent.
   */
  send(event: SseEvent<Events>): boolean {
    return !this.closed && this.#enqueue(this._frameOf(event as SseEvent))
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
    this.#stops ??= new Set()
    if (this.closed) return closeSource(source)
    return readSource(source, this.#stops, (event) => {
      const frame = this._frameOf(event)
      return this._hasRoomFor(frame)
        ? this.#sendNext(frame)
        : this.drained().then(() => this.#sendNext(frame))
    })
  }

  /** Resolves with true when nothing is queued any more, with false when the stream is closed. Never rejects. */
  async drained(): Promise<boolean> {
    turn.fanOutNow()
    await this.#connection.waitUntil(() => this.closed || this._isIdle)
    return !this.closed
  }

  /**
   * Ends the stream after everything queued and after its replay, for which it waits at most 5 s. Nothing can be sent any
   * more. `retry` is when the client reconnects, in ms; by default it keeps the time it has. Throws `SseError`: `ERR_SSE_OPTION`, `ERR_SSE_RETRY`.
   */
  close(options: { retry?: number | undefined } = {}): void {
    checkOptions(options, CLOSE_CHECKS)
    turn.fanOutNow()
    if (this.closed) return
    this._positions?._beforeClose()
    const { retry } = options
    if (retry !== undefined) this.#connection.enqueueOverBound(this._frameOf({ retry }))
    this.#markClosed('server')
    if (this.#connection.holds > 0) this.#connection.endBy(clock.now + CLOSE_GRACE)
    else this.#connection.end()
  }

  /** Ends the stream at once and drops everything queued. With an error, the close reason is `error`. */
  destroy(error?: unknown): void {
    this.#destroy(error === undefined ? 'server' : 'error', error)
  }

  /** True from the moment nothing can be sent any more. The `close` event follows. */
  get closed(): boolean {
    return this.#closeReason !== undefined
  }

  /** Why the stream has closed. Undefined while it is open. */
  get closeReason(): CloseReason | undefined {
    return this.#closeReason
  }

  /** Aborts when the stream closes. Pass it to a database cursor, a fetch or a language model. */
  get signal(): AbortSignal {
    this.#abortController ??= new AbortController()
    if (this.closed) this.#abortController.abort()
    return this.#abortController.signal
  }

  /** @internal Whether `signal` was read, so that it aborts work of the application. */
  get _hasSignal(): boolean {
    return this.#abortController !== undefined
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
    return this.#connection.bufferedBytes
  }

  /** Events and comments queued for the client. Events published in this turn are queued at its end. */
  get bufferedEvents(): number {
    return this.#connection.bufferedEvents
  }

  /** @internal Sends frames that are shared with other streams. At the end of a turn they are written at once. */
  _deliver(batch: SharedBatch, isTurnOver: boolean): void {
    if (this.closed) return
    const encoded = batch.in(this._format)
    if (isTurnOver && this.#connection.canBypassQueue) this.#connection.write(encoded.joined)
    else for (const frame of encoded.frames) this._enqueue(frame)
  }

  /** @internal Queues a frame. */
  _enqueue(frame: Frame): boolean {
    return !this.closed && this.#connection.enqueue(frame)
  }

  /** @internal Whether a sender that can wait should send this frame now, and not after `drained()`. */
  _hasRoomFor(frame: Frame): boolean {
    return !this.#replayer && this.#connection.hasRoomFor(frame)
  }

  /** @internal Whether everything was written, also of a replay. */
  get _isIdle(): boolean {
    return this.#connection.isIdle && !this.#replayer
  }

  /** @internal Delays the end that `close` requests until `_release`, or until its grace period is over. */
  _hold(): void {
    this.#connection.holds += 1
  }

  /** @internal */
  _release(): void {
    this.#connection.release(this.closed)
  }

  /** @internal Ends the stream after everything queued, because missed events cannot be sent on this connection. */
  _endReplay(error: unknown): void {
    this.#markClosed('replay', error)
    // At once, because the snapshot of a hub may delay the end forever.
    this.#connection.end()
  }

  /** @internal Encodes an event as `send` does. */
  _frameOf(event: SseEvent): Frame {
    // Only the events of a store are the same for all clients.
    if (this._pollCache) this._pollCache.isPublic = false
    return eventFrame(event, this.#settings.serialize, this._format)
  }

  /** @internal For a sender that holds the end back: it may send until the connection is not open any more. */
  get _connection(): Connection {
    return this.#connection
  }

  /** @internal Sends the response headers, unless they were sent. */
  _begin(): void {
    this.#connection.begin()
  }

  /** @internal Releases the response to the framework, unless its headers were sent. */
  _abandon(): void {
    this.#connection.abandon()
  }

  /** @internal Notifies a target once when the stream is closed, at once if that was reported. */
  _addCloseTarget(target: CloseTarget): void {
    const targets = this.#closeTargets
    if (this.#isReported) target._streamClosed(this as SseStream)
    else this.#closeTargets = targets ? [...new Set([targets, target].flat())] : target
  }

  #enqueue(frame: Frame): boolean {
    turn.fanOutNow()
    return this._enqueue(frame)
  }

  /** Returns whether the source should be read on. */
  #sendNext(frame: Frame): boolean {
    this.#enqueue(frame)
    return !this.closed
  }

  async #startReplay(): Promise<void> {
    this.#replayer = new Replayer(this as SseStream, this.#connection, this.#settings)
    this.#connection.beginReplay()
    this._hold()
    try {
      if (await this.#replayer.run()) this.#connection.endReplay()
    } catch (error) {
      this._endReplay(error)
    }
    this.#replayer = undefined
    this._release()
  }

  /** @internal */
  _overflowed(dropped: number): void {
    const report = (total: number) => publishOverflow(this as SseStream, this.#settings.overflow, total)
    this.#drops ??= new DropReport((total) => {
      report(total)
      this.#emitSafely('drop', total)
    })
    if (dropped !== OVERFLOW) return void this.#drops.add(dropped)
    report(0)
    this.#destroy('overflow')
  }

  /** @internal */
  _caughtUp(lag: number): void {
    if (drainChannel.hasSubscribers) drainChannel.publish({ stream: this, lag })
    this.#drops?._flush()
    if (!this.closed) this.#emitSafely('drain')
  }

  /** @internal */
  _heartbeat(): Frame | undefined {
    return this._positions?._heartbeat()
  }

  /** @internal */
  _pageFull(): void {
    this.#markClosed('poll')
  }

  /** @internal */
  _expired(): void {
    this.#markClosed(this.#settings.poll ? 'poll' : 'expired')
    // The client requests the rest of a replay when it reconnects.
    this.#replayer?.stop()
    this.#connection.end()
  }

  /** @internal */
  _onClosed(reason: CloseReason, error?: unknown): void {
    this.#markClosed(reason, error)
    this.#replayer?.stop()
    if (closeChannel.hasSubscribers) closeChannel.publish({ stream: this, ...this.#summary() })
    queueMicrotask(() => this.#reportClosed())
  }

  // A listener that throws must stop neither a flush nor a broadcast. Its error is uncaught, as in Node.
  #emitSafely<Name extends keyof SseStreamEventMap>(name: Name, ...args: SseStreamEventMap[Name]): void {
    try {
      outsideRequests(() => this.emit(name, ...(args as never)))
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }

  #destroy(reason: CloseReason, error?: unknown): void {
    this.#markClosed(reason, error)
    this.#connection.destroy(reason, error)
  }

  // Nothing can be sent any more. The first reason stays.
  #markClosed(reason: CloseReason, error?: unknown): void {
    if (this.closed) return
    this.#closeReason = reason
    this.#error = error
    outsideRequests(() => this.#abortController?.abort())
    for (const stop of this.#stops ?? []) stop()
    this.#connection.notify()
  }

  // The library first, so that nothing of it depends on the application's listeners.
  #reportClosed(): void {
    this.#isReported = true
    const targets = [this.#closeTargets ?? []].flat()
    this.#closeTargets = undefined
    for (const target of targets) target._streamClosed(this as SseStream)
    this.#drops?._flush()
    this.#emitSafely('close', this.#closeReason as CloseReason, this.#error)
  }

  #summary() {
    const { openedAt, sentEvents: events, sentBytes: bytes } = this.#connection
    return { reason: this.#closeReason, error: this.#error, duration: clock.now - openedAt, events, bytes }
  }
}
