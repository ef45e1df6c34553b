import { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Frame } from '../event/frame.ts'
import { type NodeResponse, ResponseTransport } from './node-response.ts'
import type { Transport, TransportOwner } from './transport.ts'

/** The way out through a response whose head has left. Chosen once, by what the response is. */
export function nodeTransport(response: NodeResponse): Transport {
  return isBare(response) ? new SocketTransport(response) : new ResponseTransport(response)
}

/**
 * The fast way: a frame carries its chunk framing, so the socket takes it as it is. `response.write` would cost four
 * buffers, a cork and a tick for each.
 */
export class SocketTransport extends ResponseTransport {
  override open(owner: TransportOwner): void {
    super.open(owner)
    uncork(this.response)
  }

  protected override bytesOf(frame: Frame): Buffer {
    return frame.chunk
  }

  protected override push(bytes: Buffer): boolean {
    const socket = this.response.socket
    // A client that has closed its half, or somebody else who ended the response: `close` or `finish` follows, or the
    // stall deadline where neither comes. A chunk after the last one would be read as the next response.
    if (!socket?.writable || this.response.writableEnded) return false
    // Node says false from its high-water mark on, also when the kernel has taken every byte.
    return socket.write(bytes) || socket.writableLength === 0
  }

  protected override onceDrained(goOn: () => void): void {
    this.response.socket?.once('drain', goOn)
  }
}

// Node corks the first write of a tick: Node 26 in the response, where a frame would overtake the head, and those before
// in the socket, where the kernel would seem full.
function uncork(response: ServerResponse): void {
  while (response.writableCorked > 0) response.uncork()
  while (response.socket && response.socket.writableCorked > 0) response.socket.uncork()
}

const ownWrite = ServerResponse.prototype.write

/** Whether nothing stands between the response and its socket, and the body is chunked. */
function isBare(response: NodeResponse): boolean {
  return (
    response instanceof ServerResponse &&
    response.write === ownWrite &&
    response.chunkedEncoding &&
    response.socket instanceof Socket
  )
}
