import { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { type Frame, SLICE_BYTES } from '../event/frame.ts'
import { type NodeResponse, ResponseTransport } from './node-response.ts'
import type { Transport, TransportOwner } from './transport.ts'

/** Returns the transport of a response whose headers were sent. It is chosen once, by what the response is. */
export function nodeTransport(response: NodeResponse): Transport {
  return ownsSocket(response) ? new SocketTransport(response) : new ResponseTransport(response)
}

/**
 * The fast transport: a frame carries its chunk framing, so that it is written to the socket as it is. `response.write`
 * would cost four buffers, a cork and a tick per frame.
 */
export class SocketTransport extends ResponseTransport {
  override open(owner: TransportOwner): void {
    super.open(owner)
    uncork(this.response)
  }

  #isFramed = true

  // The application may end the response between two slices of a large frame, so each slice is a chunk.
  override bytesOf(frame: Frame): Buffer {
    this.#isFramed = frame.chunk.length <= SLICE_BYTES
    return this.#isFramed ? frame.chunk : frame.payload
  }

  override write(bytes: Buffer): boolean {
    const socket = this.response.socket
    // The peer has closed its half, or the application has ended the response. `close` or `finish` follows, otherwise the
    // stall deadline. A chunk after the last one would be read as the next response.
    if (!socket?.writable || this.response.writableEnded) return false
    // Node returns false above its high-water mark, even when the kernel has accepted every byte.
    const hasRoom = this.#isFramed ? socket.write(bytes) : writeChunk(socket, bytes)
    if (hasRoom || socket.writableLength === 0) return true
    socket.once('drain', () => this.owner?._drained())
    return false
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

// Node corks the first write of a tick. Node 26 corks the response, so that a frame would overtake the headers; older
// versions cork the socket, so that the kernel would seem full.
function uncork(response: ServerResponse): void {
  while (response.writableCorked > 0) response.uncork()
  while (response.socket && response.socket.writableCorked > 0) response.socket.uncork()
}

const ownWrite = ServerResponse.prototype.write

/** Whether nothing stands between the response and its socket, and the body is chunked. */
function ownsSocket(response: NodeResponse): boolean {
  return (
    response instanceof ServerResponse &&
    response.write === ownWrite &&
    response.chunkedEncoding &&
    response.socket instanceof Socket
  )
}
