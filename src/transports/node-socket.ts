import { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { type Frame, SLICE_BYTES } from '../event/frame.ts'
import { type NodeResponse, ResponseTransport } from './node-response.ts'
import type { Transport, TransportOwner } from './transport.ts'

/** Returns the transport of a response whose headers were sent. It is chosen once, by `ownsSocket`. */
export function nodeTransport(response: NodeResponse): Transport {
  return ownsSocket(response) ? new SocketTransport(response) : new ResponseTransport(response)
}

/**
 * The fast transport: a frame carries its chunk framing, so that it is written to the socket as it is. `response.write`
 * would cost four buffers, a cork and a tick per frame.
 *
 * The response headers wait in the socket for the first frame, until the end of the turn. A separate write costs as
 * much as everything else that a new stream does.
 */
export class SocketTransport extends ResponseTransport {
  #isFramed = true
  // Whether the headers wait for the first frame. Later corks are those of the application.
  #isCorked = false

  override open(owner: TransportOwner): void {
    super.open(owner)
    cork(this.response)
    this.#isCorked = true
  }

  // The application may end the response between two slices of a large frame, so each slice is a chunk.
  bytesOf(frame: Frame): Buffer {
    this.#isFramed = frame.chunk.length <= SLICE_BYTES
    return this.#isFramed ? frame.chunk : frame.payload
  }

  override write(bytes: Buffer): boolean {
    const socket = this.response.socket
    // The peer has closed its half, or the application has ended the response. `close` or `finish` follows, otherwise
    // the stall deadline. A chunk after the last one would be read as the next response.
    if (!socket?.writable || this.response.writableEnded) return false
    // Node returns false above its high-water mark, even when the kernel has accepted every byte.
    const hasRoom = this.#isFramed ? socket.write(bytes) : writeChunk(socket, bytes)
    this.sendHeaders()
    if (hasRoom || socket.writableLength === 0) return true
    socket.once('drain', () => this.owner?._drained())
    return false
  }

  sendHeaders(): void {
    if (!this.#isCorked) return
    this.#isCorked = false
    const { socket } = this.response
    while (socket && socket.writableCorked > 0) socket.uncork()
  }

  override end(): void {
    super.end()
    // A middleware may defer the end. Otherwise, the headers were sent with it, in one write.
    this.sendHeaders()
  }

  override destroy(): void {
    this.sendHeaders()
    super.destroy()
  }
}

// `response.write` would cork the response on Node 26, and then report no `drain`.
function writeChunk(socket: Socket, bytes: Buffer): boolean {
  socket.cork()
  socket.write(`${bytes.length.toString(16)}\r\n`)
  socket.write(bytes)
  const hasRoom = socket.write('\r\n')
  socket.uncork()
  return hasRoom
}

// Node corks the first write of a tick, and removes a cork at the next tick. Node 26 corks the response, so that a
// frame would overtake the headers; older versions cork the socket.
function cork(response: ServerResponse): void {
  const { socket, writableCorked } = response
  // One for the next tick, and one for the end of the turn.
  socket?.cork()
  socket?.cork()
  for (let corks = 0; corks < writableCorked; corks++) response.uncork()
}

const ownWrite = ServerResponse.prototype.write

/** Whether no wrapper is between the response and its socket, and the body is chunked. */
function ownsSocket(response: NodeResponse): boolean {
  return (
    response instanceof ServerResponse &&
    response.write === ownWrite &&
    response.chunkedEncoding &&
    response.socket instanceof Socket
  )
}
