import { EventEmitter } from 'node:events'
import { closeChannel, drainChannel, openChannel, overflowChannel } from '../diagnostics.ts'
import type { AnyEvents, EventMap, SseEvent } from '../event/event.ts'
import type { Frame } from '../event/frame.ts'
import { closeSource, readSource, type Source, type StopCallbacks } from '../event/source.ts'
import { commentFrame, eventFrame } from '../formats/event-stream.ts'
import { clock } from '../scheduler/clock.ts'
import { settleTurn } from '../scheduler/turn.ts'
import { noTransport, type Transport } from '../transports/transport.ts'
import { OVERFLOW } from './backlog.ts'
import type { CloseReason } from './close-reason.ts'
import { Connection } from './connection.ts'
import { joined } from './frame-queue.ts'
import type { StreamSettings } from './options.ts'
import { ReplayRun } from './replay.ts'
import type { ResumePoint } from './resume-point.ts'

export interface SseStreamEventMap {
  /** The client had fallen behind and has caught up: all that waited has left. */
  drain: []
  /** So many events were lost to the bound. */
  drop: [events: number]
  /** The stream is over and holds nothing any more. Comes once. */
  close: [reason: CloseReason, error: unknown]
}

/** One client: what it is sent, what waits for it, and its end. Made by `createSseStream` and the adapters. */
export class SseStream<Events extends EventMap = AnyEvents> extends EventEmitter<SseStreamEventMap> {
  /** The id after which the client wants to resume. A client's input: check it before use. */
  readonly lastEventId: string | undefined
  /** @internal Where a hub takes up this client: a stream with a replay of its own has been served from there. */
  readonly _resumesFrom: ResumePoint
  readonly #settings: StreamSettings
  readonly #connection: Connection
  #replay: ReplayRun | undefined
  #stops: StopCallbacks | undefined
  #closeReason: CloseReason | undefined
  #error: unknown
  #abortController: AbortController | undefined

  private constructor(transport: Transport, settings: StreamSettings, position: ResumePoint) {
    super()
    this.lastEventId = typeof position === 'object' ? position.id : undefined
    this._resumesFrom = settings.replay ? 'new' : position
    this.#settings = settings
    this.#connection = new Connection(transport, settings, this)
    if (openChannel.hasSubscribers) openChannel.publish({ stream: this })
  }

  /** @internal A stream whose head has left. */
  static _open(transport: Transport, settings: StreamSettings, position: ResumePoint): SseStream {
    const stream = new SseStream(transport, settings, position)
    stream.#connection.open()
    if (settings.replay && position !== 'new') stream.#startReplay(position)
    return stream
  }

  /** @internal A stream that is over before it began. */
  static _closed(reason: CloseReason, settings: StreamSettings, position: ResumePoint): SseStream {
    const stream = new SseStream(noTransport, settings, position)
    stream.#cut(reason)
    return stream
  }

  /**
   * Sends an event. True: the client keeps up. False: hold back until `drain` or `drained()`, or the event was
   * dropped, or the stream is closed. Throws `SseError` when the event cannot be encoded; then nothing was sent.
   */
  send(event: SseEvent<Events>): boolean {
    return !this.closed && this.#put(eventFrame(event as SseEvent, this.#settings.serialize))
  }

  /** Sends a comment, which no client dispatches. */
  comment(text: string): boolean {
    return !this.closed && this.#put(commentFrame(text))
  }

  /**
   * Sends what a source yields, at the pace of the client. Resolves with true at its end, with false when the stream
   * closed first; the source is then closed too. Rejects with what the source throws, or with an `SseError` for an
   * event that cannot be encoded; the stream stays open.
   */
  async sendAll(source: Source<Events>): Promise<boolean> {
    this.#stops ??= new Set()
    if (this.closed) return closeSource(source)
    return readSource(source, this.#stops, (event) => {
      const frame = eventFrame(event, this.#settings.serialize)
      return this._hasRoomFor(frame) ? this.#putNext(frame) : this.drained().then(() => this.#putNext(frame))
    })
  }

  /** Resolves with true when nothing waits any more, with false when the stream is closed. Never rejects. */
  async drained(): Promise<boolean> {
    settleTurn()
    await this.#connection.waitUntil(() => this.closed || (this.#connection.isIdle && !this.#replay))
    return !this.closed
  }

  /**
   * Ends the stream after what waits. Nothing can be sent any more. `retry` is when the client comes back, in ms; by
   * default it is what it was told before. Throws `SseError` `ERR_SSE_RETRY`.
   */
  close({ retry }: { retry?: number | undefined } = {}): void {
    settleTurn()
    if (this.closed) return
    const waiting = this.#replay?.behind ?? this.#connection.backlog
    if (retry !== undefined) waiting.close(eventFrame({ retry }, JSON.stringify))
    this.#leave('server')
    // A replay that still runs is finished first, and what waits behind it.
    if (!this.#replay) this.#connection.end()
  }

  /** Ends the stream at once: what waits is lost to this connection. With an error, the reason is `error`. */
  destroy(error?: unknown): void {
    this.#cut(error === undefined ? 'server' : 'error', error)
  }

  /** True from the moment on when nothing can be sent any more. The `close` event follows. */
  get closed(): boolean {
    return this.#closeReason !== undefined
  }

  /** Why the stream ended; undefined while it has not. */
  get closeReason(): CloseReason | undefined {
    return this.#closeReason
  }

  /** Aborted when the stream closes: for a database cursor, a fetch, a language model. */
  get signal(): AbortSignal {
    this.#abortController ??= new AbortController()
    if (this.closed) this.#abortController.abort()
    return this.#abortController.signal
  }

  /** Bytes that wait for the client, without what Node and the kernel hold. */
  get bufferedBytes(): number {
    settleTurn()
    return this.#connection.backlog.bytes + (this.#replay?.behind.bytes ?? 0)
  }

  /** Events and comments that wait for the client. */
  get bufferedEvents(): number {
    settleTurn()
    return this.#connection.backlog.length + (this.#replay?.behind.length ?? 0)
  }

  /** @internal Sends frames that are shared with other streams. Once the turn is over, they are one write. */
  _deliver(run: readonly [Frame, ...Frame[]], isTurnOver: boolean): void {
    if (isTurnOver && !this.#replay && this.#connection.canBypassQueue) this.#connection.write(joined(run))
    else for (const frame of run) this.#put(frame)
  }

  /** @internal Whether a sender that can wait should send this now, and not after `drained()`. */
  _hasRoomFor(frame: Frame): boolean {
    return !this.closed && !this.#replay && this.#connection.hasRoomFor(frame)
  }

  #put(frame: Frame): boolean {
    settleTurn()
    if (this.closed) return false
    if (!this.#replay) return this.#connection.enqueue(frame)
    const dropped = this.#replay.behind.offer(frame, true)
    if (dropped !== 0) this._overflowed(dropped)
    return dropped === 0
  }

  /** Says whether there is anybody to go on for. */
  #putNext(frame: Frame): boolean {
    this.#put(frame)
    return !this.closed
  }

  async #startReplay(position: ResumePoint): Promise<void> {
    this.#replay = new ReplayRun(this as SseStream, this.#connection, this.#settings)
    try {
      const isWhole = await this.#replay.run(position)
      if (isWhole) this.#connection.continueWith(this.#replay.behind)
    } catch (error) {
      this.#leave('replay', error)
    }
    this.#replay = undefined
    if (this.closed) this.#connection.end()
  }

  /** @internal */
  _overflowed(dropped: number): void {
    if (overflowChannel.hasSubscribers) {
      const { overflow: policy } = this.#settings
      overflowChannel.publish({ stream: this, policy, dropped: dropped === OVERFLOW ? 0 : dropped })
    }
    if (dropped === OVERFLOW) this.#cut('overflow')
    else this.#tell('drop', dropped)
  }

  /** @internal */
  _caughtUp(lag: number): void {
    if (drainChannel.hasSubscribers) drainChannel.publish({ stream: this, lag })
    if (!this.closed) this.#tell('drain')
  }

  // A listener that throws must stop neither a flush nor a broadcast: what it throws is uncaught, as in Node.
  #tell<Name extends keyof SseStreamEventMap>(name: Name, ...args: SseStreamEventMap[Name]): void {
    try {
      this.emit(name, ...(args as never))
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }

  #cut(reason: CloseReason, error?: unknown): void {
    this.#leave(reason, error)
    this.#connection.destroy(reason, error)
  }

  /** From here on nothing can be sent. The first reason stays. */
  #leave(reason: CloseReason, error?: unknown): void {
    if (this.closed) return
    this.#closeReason = reason
    this.#error = error
    this.#abortController?.abort()
    for (const stop of this.#stops ?? []) stop()
    this.#connection.notify()
  }

  /** @internal */
  _expired(): void {
    this.#leave('expired')
    // What a replay has not sent by now, the client asks for when it is back.
    this.#replay?.stop()
    this.#connection.end()
  }

  /** @internal */
  _onClosed(reason: CloseReason, error?: unknown): void {
    this.#leave(reason, error)
    this.#replay?.stop()
    if (closeChannel.hasSubscribers) closeChannel.publish({ stream: this, ...this.#summary() })
    const told = this.#closeReason ?? reason
    queueMicrotask(() => this.emit('close', told, this.#error))
  }

  #summary() {
    const { openedAt, sentEvents: events, sentBytes: bytes } = this.#connection
    return { reason: this.#closeReason, error: this.#error, duration: clock.now - openedAt, events, bytes }
  }
}
