import { type Frame, SLICE_BYTES } from '../event/frame.ts'
import { clock } from '../scheduler/clock.ts'
import { type HeaderSender, turn } from '../scheduler/turn.ts'
import { bytesFor, noTransport, type Transport, type TransportOwner } from '../transports/transport.ts'
import type { Refusal } from './refusal.ts'

/** Receives the notifications of its output. */
export interface OutputOwner {
  /** @internal The response headers were sent. */
  _begun(): void
  /** @internal There is room again, after `write` returned false. */
  _drained(): void
  /** @internal The transport is closed or broken. Called once. */
  _lost(error?: unknown): void
}

/**
 * Sends the response headers and returns the transport, or undefined if the client has disconnected. With a refusal,
 * responds with that instead, and returns undefined.
 */
export type OpenTransport = (refusal?: Refusal) => Transport | undefined

/** Writes frames to a transport, which is open or is opened by the first write. */
export class Output implements TransportOwner, HeaderSender {
  /** Whether the kernel is full. */
  isFull = false
  /**
   * Whether the transport is being opened or written to. A middleware's own `writeHead` or `write` may then call the
   * stream.
   */
  isBusy = false
  /** When the transport last accepted bytes, in ms on the clock. */
  lastWrite = clock.now
  /** The transport, once it is open. */
  transport: Transport = noTransport
  /** Resolves when no decision about the status is awaited any more. Undefined if none is awaited. */
  decided: Promise<void> | undefined
  // Set until the response headers are sent.
  #openTransport: OpenTransport | undefined
  // The part of a large frame that the transport had no room for.
  #rest: Buffer | undefined
  #state: 'open' | 'ended' | 'destroyed' = 'open'
  readonly #owner: OutputOwner

  constructor(owner: OutputOwner) {
    this.#owner = owner
  }

  /** Whether the response headers were sent. */
  get isBegun(): boolean {
    return !this.#openTransport
  }

  /** Bytes of a large frame that are still to be written. */
  get unwrittenBytes(): number {
    return this.#rest?.length ?? 0
  }

  start(transport: Transport | OpenTransport): void {
    if (typeof transport === 'function') this.#openTransport = transport
    else this.#use(transport)
  }

  /** Delays the response headers until a decision, unless an event is sent before. */
  decideBy(decision: Promise<unknown>): void {
    const { decided } = this
    const all = Promise.allSettled([decided, decision]).then(() => {
      if (this.decided === all) this.decided = undefined
    })
    this.decided = all
  }

  /**
   * Responds with a refusal instead of a stream, which MUST then be destroyed. Returns false if the headers were sent.
   */
  refuse(refusal: Refusal): boolean {
    const openTransport = this.#openTransport
    this.#openTransport = undefined
    try {
      openTransport?.(refusal)
    } catch (error) {
      // A middleware's own `writeHead` may throw.
      this.#owner._lost(error)
    }
    return openTransport !== undefined
  }

  /** Opens the transport, which sends the response headers, when the status is decided. */
  beginWhenDecided(): void {
    if (this.decided) void this.decided.then(() => this.beginWhenDecided())
    else this.begin()
  }

  /** Opens the transport without waiting for a decision, unless it is open. */
  begin(): void {
    const openTransport = this.#openTransport
    if (!openTransport) return
    this.#openTransport = undefined
    this.isBusy = true
    let failure: unknown
    try {
      const transport = openTransport()
      if (transport) this.#use(transport)
    } catch (error) {
      failure = error
    }
    this.isBusy = false
    this.isFull = this.transport === noTransport
    if (this.isFull) queueMicrotask(() => this.#owner._lost(failure))
  }

  /** Releases the response to the framework, unless its headers were sent. */
  abandon(): void {
    this.#openTransport = undefined
    this.transport.abandon?.()
  }

  /**
   * Writes a frame. MUST NOT be called while full. Returns false when the kernel is full. Throws errors of a
   * middleware.
   */
  write(frame: Frame): boolean {
    this.begin()
    return this.#writeSlices(bytesFor(this.transport, frame))
  }

  /** Makes the kernel probe a silent connection. */
  probe(): void {
    this.transport.probe?.()
  }

  /** Ends the body. The end waits for room like a frame, so that a client that never reads it is stalled. */
  end(): void {
    this.begin()
    this.#state = 'ended'
    this.isFull = true
    this.lastWrite = clock.read()
    this.transport.end()
  }

  destroy(): void {
    this.#state = 'destroyed'
    this.#rest = undefined
    this.transport.destroy()
  }

  /** @internal */
  _drained(): void {
    if (!this.isFull) return
    // The peer has read more of the ended body.
    if (this.#state === 'ended') this.lastWrite = clock.now
    else this.#writeRest()
  }

  /** @internal */
  _closed(error?: Error): void {
    this.#rest = undefined
    this.#owner._lost(error)
  }

  /** @internal */
  _sendHeaders(): void {
    // After its end or its destruction, the transport has sent them.
    if (this.#state === 'open') this.transport.sendHeaders?.()
  }

  #use(transport: Transport): void {
    // The stream was destroyed before its response headers were sent.
    if (this.#state === 'destroyed') return void transport.destroy()
    transport.open(this)
    this.transport = transport
    if (transport.sendHeaders) turn.scheduleHeaders(this)
    this.#owner._begun()
  }

  #writeRest(): void {
    this.isFull = false
    try {
      if (!this.#rest || this.#writeSlices(this.#rest)) this.#owner._drained()
    } catch (error) {
      this.#owner._lost(error)
    }
  }

  // In slices, because otherwise a client that is slow with a large frame looks like one that has stalled.
  #writeSlices(bytes: Buffer): boolean {
    this.lastWrite = clock.now
    this.isBusy = true
    try {
      for (let rest: Buffer | undefined = bytes; rest && !this.isFull; rest = this.#rest) {
        this.#rest = rest.length > SLICE_BYTES ? rest.subarray(SLICE_BYTES) : undefined
        this.isFull = !this.transport.write(this.#rest ? rest.subarray(0, SLICE_BYTES) : rest)
      }
    } finally {
      this.isBusy = false
    }
    if (this.isFull) this.lastWrite = clock.read()
    return !this.isFull
  }
}
