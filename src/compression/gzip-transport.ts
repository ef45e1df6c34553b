import { Frame } from '../event/frame.ts'
import { bytesFor, type Transport, type TransportOwner } from '../transports/transport.ts'
import { Context } from './context.ts'
import { sharedDeflate } from './shared-deflate.ts'
import { loadZlib } from './zlib.ts'

// RFC 1952 2.3: the magic number, DEFLATE, no flags, no time, no extra flags, an unknown operating system.
const HEADER = Frame.ofBytes(Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff))

/**
 * Compresses the writes to another transport with gzip. Each write is compressed at once, so nothing waits here, and
 * the room of the other transport is its own.
 */
export class GzipTransport implements Transport {
  readonly #output: Transport
  readonly #preamble: string
  #context = Context.EMPTY
  #checksum = 0
  #size = 0

  constructor(output: Transport, preamble: string) {
    this.#output = output
    this.#preamble = preamble
  }

  get hasUnsent(): boolean {
    return this.#output.hasUnsent ?? false
  }

  open(owner: TransportOwner): void {
    this.#output.open(owner)
    try {
      this.#begin()
    } catch (error) {
      queueMicrotask(() => owner._closed(error as Error))
    }
  }

  write(bytes: Buffer): boolean {
    return this.#write(this.#compress(bytes))
  }

  sendHeaders(): void {
    this.#output.sendHeaders?.()
  }

  probe(): void {
    this.#output.probe?.()
  }

  end(): void {
    // An empty last block, the checksum and the size (RFC 1951 3.2.6, RFC 1952 2.3.1).
    const trailer = Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    trailer.writeUInt32LE(this.#checksum, 2)
    trailer.writeUInt32LE(this.#size, 6)
    this.#write(Frame.ofBytes(trailer))
    this.#output.end()
  }

  destroy(): void {
    this.#output.destroy()
  }

  #begin(): void {
    const preamble = this.#preamble ? [this.#compress(Buffer.from(this.#preamble))] : []
    // Without the random delay in the preamble, streams that open between two events share all later segments.
    this.#context = Context.EMPTY
    this.#write(Frame.join([HEADER, ...preamble]))
  }

  #compress(bytes: Buffer): Frame {
    const { frame, next } = sharedDeflate.compress(bytes, this.#context)
    this.#context = next
    this.#checksum = loadZlib()?.crc32(bytes, this.#checksum) ?? 0
    this.#size = (this.#size + bytes.length) % 2 ** 32
    return frame
  }

  #write(frame: Frame): boolean {
    return this.#output.write(bytesFor(this.#output, frame))
  }
}
