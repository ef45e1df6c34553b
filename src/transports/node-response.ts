import type { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'
import type { Frame } from '../event/frame.ts'
import type { Transport, TransportOwner } from './transport.ts'

/** The response of `node:http` or `node:http2`. */
export type NodeResponse = ServerResponse | Http2ServerResponse

// RFC 9113 7: CANCEL. A literal, so that `node:http2` is not loaded for it.
const CANCEL = 8

/** Whether a response is of `node:http2`. */
export function isHttp2(response: NodeResponse): response is Http2ServerResponse {
  return typeof (response as Partial<Http2ServerResponse>).stream?.close === 'function'
}

// How long a connection is silent before the kernel probes it, in ms.
const PROBE_DELAY = 15_000

/** The general transport: HTTP/1.0, HTTP/2, a response that a middleware has wrapped, a test double. */
export class ResponseTransport implements Transport {
  // The response of `node:http2` has the same methods.
  protected readonly response: ServerResponse
  protected owner: TransportOwner | undefined
  #listensForDrain = false

  constructor(response: NodeResponse) {
    this.response = response as ServerResponse
  }

  open(owner: TransportOwner): void {
    configureSocket(this.response)
    this.owner = owner
    const closed = (error?: Error) => owner._closed(error)
    // The response's `close`, because the request's comes as soon as the body of a POST has been read. Not `once`, which
    // holds three more objects per listener; the owner ignores a second call.
    this.response.on('close', closed).on('finish', closed).on('error', closed)
    if (!this.response.socket) watchPipelined(this.response, closed)
  }

  // With a window of 0, HTTP/2 sends nothing, although `write` returns true up to the high-water mark.
  get hasUnsent(): boolean {
    return this.response.writableLength > 0
  }

  bytesOf(frame: Frame): Buffer {
    return frame.payload
  }

  write(bytes: Buffer): boolean {
    const response: ServerResponse & { flush?: () => void } = this.response
    const hasRoom = response.write(bytes)
    // A compression middleware that ignores `no-transform` holds every event back until it is flushed.
    response.flush?.()
    if (!hasRoom) this.#listenForDrain()
    return hasRoom
  }

  probe(): void {
    if (!isHttp2(this.response)) this.response.socket?.setKeepAlive?.(true, PROBE_DELAY)
  }

  end(): void {
    this.response.end()
  }

  destroy(): void {
    if (isHttp2(this.response)) this.response.stream.close(CANCEL)
    else this.response.destroy()
  }

  // One listener for the whole life: compression moves it to a stream of its own, from which it cannot be removed.
  #listenForDrain(): void {
    if (this.#listensForDrain) return
    this.#listensForDrain = true
    this.response.on('drain', () => this.owner?._drained())
  }
}

const pipelined = new WeakMap<Socket, Set<() => void>>()

// A pipelined response gets its socket when its turn comes. Only the request's socket reports a connection lost before
// that. All pipelined responses share one listener, because a client may pipeline any number of requests.
function watchPipelined(response: ServerResponse, closed: () => void): void {
  const socket = response.req?.socket
  if (!socket) return
  const waiting = pipelined.get(socket) ?? watchSocket(socket)
  waiting.add(closed)
  response.once('socket', () => {
    waiting.delete(closed)
    configureSocket(response)
  })
}

function watchSocket(socket: Socket): Set<() => void> {
  const waiting = new Set<() => void>()
  pipelined.set(socket, waiting)
  socket.once('close', () => {
    for (const closed of waiting) closed()
  })
  return waiting
}

// An HTTP/2 connection carries other streams too, so it is left as it is.
function configureSocket(response: NodeResponse): void {
  if (isHttp2(response)) return
  response.socket?.setNoDelay?.(true)
  response.socket?.setTimeout?.(0)
}
