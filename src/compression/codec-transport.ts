import type { Transform } from 'node:stream'
import { Frame } from '../event/frame.ts'
import { bytesFor, type Transport, type TransportOwner } from '../transports/transport.ts'

/**
 * Compresses the writes to another transport with a stream of zlib. While the other transport is full, that stream is
 * not read, and counts as full itself. Bytes therefore wait in it only up to its high-water marks.
 */
export class CodecTransport implements Transport, TransportOwner {
  readonly #output: Transport
  // Flushes after each write.
  readonly #codec: Transform
  readonly #preamble: string
  #owner: TransportOwner | undefined
  #isFull = false
  #isOutputFull = false

  constructor(output: Transport, codec: Transform, preamble: string) {
    this.#output = output
    this.#codec = codec
    this.#preamble = preamble
  }

  get hasUnsent(): boolean {
    const { writableLength, readableLength } = this.#codec
    return writableLength + readableLength > 0 || (this.#output.hasUnsent ?? false)
  }

  open(owner: TransportOwner): void {
    this.#owner = owner
    this.#output.open(this)
    this.#codec
      .on('data', (bytes: Buffer) => this.#guard(() => this.#writeOut(bytes)))
      .on('drain', () => this.#notifyDrained())
      .on('end', () => this.#guard(() => this.#output.end()))
      .on('error', (error) => this._closed(error))
    if (this.#preamble) this.write(Buffer.from(this.#preamble))
  }

  write(bytes: Buffer): boolean {
    // The client has disconnected.
    if (this.#codec.destroyed) return false
    this.#isFull = !this.#codec.write(bytes) || this.#isOutputFull
    return !this.#isFull
  }

  sendHeaders(): void {
    this.#output.sendHeaders?.()
  }

  probe(): void {
    this.#output.probe?.()
  }

  end(): void {
    this.#codec.end()
  }

  destroy(): void {
    this.#owner = undefined
    this.#codec.destroy()
    this.#output.destroy()
  }

  /** @internal */
  _drained(): void {
    this.#isOutputFull = false
    this.#codec.resume()
    this.#notifyDrained()
  }

  /** @internal */
  _closed(error?: Error): void {
    const owner = this.#owner
    this.#owner = undefined
    this.#codec.destroy()
    owner?._closed(error)
  }

  // A middleware's own `write` and `end` may throw.
  #guard(work: () => void): void {
    try {
      work()
    } catch (error) {
      this._closed(error as Error)
    }
  }

  #writeOut(bytes: Buffer): void {
    if (this.#output.write(bytesFor(this.#output, Frame.ofBytes(bytes)))) return
    this.#isOutputFull = true
    this.#codec.pause()
  }

  #notifyDrained(): void {
    if (this.#isOutputFull || this.#codec.writableNeedDrain) return
    // Progress of an ended body is reported too.
    if (!this.#isFull && !this.#codec.writableEnded) return
    this.#isFull = false
    this.#owner?._drained()
  }
}
