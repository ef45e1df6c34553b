import type { Frame } from '../event/frame.ts'
import { clock } from '../scheduler/clock.ts'
import { noTransport, type Transport, type TransportOwner } from '../transports/transport.ts'

/** Is notified by its output. */
export interface OutputOwner {
  /** @internal There is room again, after `write` returned false. */
  _drained(): void
  /** @internal The transport is closed or broken. Called once. */
  _lost(error?: unknown): void
}

/** Sends the response headers and returns the transport, or undefined if the client has disconnected. */
export type OpenTransport = () => Transport | undefined

// A large frame is written in slices of this many bytes.
const SLICE_BYTES = 64 * 1024

/** Writes frames to a transport, which is open or is opened by the first write. */
export class Output implements TransportOwner {
  /** Whether the kernel is full, or the response headers are being sent. */
  isFull = false
  /** When the transport last accepted bytes, in ms on the clock. */
  lastWrite = clock.now
  #transport: Transport = noTransport
  // Set until the response headers are sent.
  #openTransport: OpenTransport | undefined
  // The part of a large frame that the transport had no room for.
  #rest: Buffer | undefined
  #isEnded = false
  #isDestroyed = false
  readonly #owner: OutputOwner

  constructor(owner: OutputOwner) {
    this.#owner = owner
  }

  /** Whether the response headers were sent. */
  get isBegun(): boolean {
    return this.#openTransport === undefined
  }

  start(transport: Transport | OpenTransport): void {
    if (typeof transport === 'function') this.#openTransport = transport
    else this.#use(transport)
  }

  /** Opens the transport, unless it is open. */
  begin(): void {
    const openTransport = this.#openTransport
    if (!openTransport) return
    this.#openTransport = undefined
    // A middleware's `writeHead` may send events. Full, so that they are queued behind the headers.
    this.isFull = true
    try {
      const transport = openTransport()
      if (transport) this.#use(transport)
      else queueMicrotask(() => this.#owner._lost())
    } catch (error) {
      queueMicrotask(() => this.#owner._lost(error))
    }
  }

  /** Releases the response to the framework, unless its headers were sent. */
  abandon(): void {
    this.#openTransport = undefined
  }

  /** Writes a frame. Returns false when the kernel is full. Throws what a middleware's own `write` throws. */
  write(frame: Frame): boolean {
    this.begin()
    return this.#writeSlices(this.#transport.bytesOf(frame))
  }

  /** Makes the kernel probe a silent connection. */
  probe(): void {
    this.#transport.probe()
  }

  /** Ends the body. Its end waits for room like everything else, so that a client that never reads it is stalled. */
  end(): void {
    this.begin()
    this.#isEnded = true
    this.isFull = true
    this.lastWrite = clock.read()
    this.#transport.end()
  }

  destroy(): void {
    this.#isDestroyed = true
    this.#rest = undefined
    this.#transport.destroy()
  }

  /** @internal */
  _drained(): void {
    if (!this.isFull || this.#isDestroyed) return
    // The peer reads the end of the body.
    if (this.#isEnded) this.lastWrite = clock.now
    else if (this.#writeRest()) this.#owner._drained()
  }

  /** @internal */
  _closed(error?: Error): void {
    this.#rest = undefined
    this.#owner._lost(error)
  }

  #use(transport: Transport): void {
    this.isFull = false
    // The stream was destroyed before its response headers were sent.
    if (this.#isDestroyed) return void transport.destroy()
    this.#transport = transport
    transport.open(this)
  }

  #writeRest(): boolean {
    const rest = this.#rest
    this.#rest = undefined
    this.isFull = false
    try {
      return rest ? this.#writeSlices(rest) : true
    } catch (error) {
      this.#owner._lost(error)
      return false
    }
  }

  // In slices, because otherwise a client that is slow with a large frame looks like one that has stalled.
  #writeSlices(bytes: Buffer): boolean {
    this.lastWrite = clock.now
    for (let at = 0; at < bytes.length && !this.#isDestroyed; at += SLICE_BYTES) {
      if (this.isFull) {
        this.#rest = bytes.subarray(at)
        break
      }
      const slice = bytes.length > SLICE_BYTES ? bytes.subarray(at, at + SLICE_BYTES) : bytes
      this.isFull = !this.#transport.write(slice)
    }
    if (this.isFull) this.lastWrite = clock.read()
    return !this.isFull
  }
}
