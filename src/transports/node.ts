import { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import { Socket } from 'node:net'
import type { Frame } from '../frame.ts'
import type { Transport, TransportOwner } from './transport.ts'

/** What Node gives a server to answer with. */
export type NodeResponse = ServerResponse | Http2ServerResponse

// RFC 9113 7: the code of a stream that is no longer wanted. `node:http2` is not loaded for it.
const CANCEL = 8

export function isHttp2(response: NodeResponse): response is Http2ServerResponse {
  return 'stream' in response
}

/** The way out through a response whose head has left. Chosen once, by what the response is. */
export function nodeTransport(response: NodeResponse): Transport {
  return isBare(response) ? new SocketTransport(response) : new ResponseTransport(response)
}

/** The ordinary way: HTTP/1.0, HTTP/2, a response that a middleware has wrapped, a test double. */
export class ResponseTransport implements Transport {
  // The response of `node:http2` has the same methods.
  protected readonly response: ServerResponse
  protected owner: TransportOwner | undefined

  constructor(response: NodeResponse) {
    this.response = response as ServerResponse
  }

  open(owner: TransportOwner): void {
    tune(this.response)
    this.owner = owner
    // `once` would hold three more objects for each listener. What is said twice is heard once.
    const gone = (error?: Error) => owner._gone(error)
    // The response's close: the request's comes as soon as the body of a POST has been read.
    this.response.on('close', gone).on('finish', gone).on('error', gone)
    if (!this.response.socket) watchPipelined(this.response, () => owner._gone())
  }

  write(frame: Frame): boolean {
    const response: ServerResponse & { flush?: () => void } = this.response
    const hasRoom = response.write(frame.payload)
    // Compression that was asked for all the same holds every event back until it is flushed.
    response.flush?.()
    if (!hasRoom) response.once('drain', () => this.owner?._room())
    return hasRoom
  }

  end(): void {
    this.response.end()
  }

  destroy(): void {
    if (isHttp2(this.response)) this.response.stream.close(CANCEL)
    else this.response.destroy()
  }
}

// A pipelined response gets its socket when its turn comes. A connection lost before that tells only the request's.
function watchPipelined(response: ServerResponse, gone: () => void): void {
  const socket = response.req?.socket
  socket?.once('close', gone)
  response.once('socket', () => socket?.off('close', gone))
}

/**
 * The fast way: a frame carries its chunk framing, so the socket takes it as it is. `response.write` would cost four
 * buffers, a cork and a tick for each.
 */
export class SocketTransport extends ResponseTransport {
  override write(frame: Frame): boolean {
    const socket = this.response.socket
    // A client that has closed its half: `close` follows, or the stall deadline where that never comes.
    if (!socket?.writable) return false
    // Node says false from its high-water mark on, also when the kernel has taken every byte.
    if (socket.write(frame.chunk) || socket.writableLength === 0) return true
    socket.once('drain', () => this.owner?._room())
    return false
  }
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

// How long a connection is silent before the kernel asks whether the other side still lives.
const KEEP_ALIVE_DELAY = 15_000

// An HTTP/2 connection belongs to more than this stream.
function tune(response: NodeResponse): void {
  if (isHttp2(response)) return
  response.socket?.setNoDelay?.(true)
  response.socket?.setTimeout?.(0)
  response.socket?.setKeepAlive?.(true, KEEP_ALIVE_DELAY)
}
