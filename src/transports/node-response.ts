import type { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'
import type { Frame } from '../event/frame.ts'
import type { Transport, TransportOwner } from './transport.ts'

/** What Node gives a server to answer with. */
export type NodeResponse = ServerResponse | Http2ServerResponse

// RFC 9113 7: the code of a stream that is no longer wanted. `node:http2` is not loaded for it.
const CANCEL = 8

export function isHttp2(response: NodeResponse): response is Http2ServerResponse {
  return typeof (response as Partial<Http2ServerResponse>).stream?.close === 'function'
}

// A piece of a large frame, in bytes.
const PIECE = 64 * 1024

// How long a connection is silent before the kernel probes it, in ms.
const PROBE_DELAY = 15_000

/** The ordinary way: HTTP/1.0, HTTP/2, a response that a middleware has wrapped, a test double. */
export class ResponseTransport implements Transport {
  // The response of `node:http2` has the same methods.
  protected readonly response: ServerResponse
  protected owner: TransportOwner | undefined
  // What goes on when there is room. Undefined: nobody listens for that yet.
  #goOn: (() => void) | undefined

  constructor(response: NodeResponse) {
    this.response = response as ServerResponse
  }

  open(owner: TransportOwner): void {
    tune(this.response)
    this.owner = owner
    // `once` would hold three more objects for each listener. What is said twice is heard once.
    const gone = (error?: Error) => owner._closed(error)
    // The response's close: the request's comes as soon as the body of a POST has been read.
    this.response.on('close', gone).on('finish', gone).on('error', gone)
    if (!this.response.socket) watchPipelined(this.response, () => owner._closed())
  }

  write(frame: Frame): boolean {
    return this.#writeFrom(this.bytesOf(frame), 0)
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

  protected bytesOf(frame: Frame): Buffer {
    return frame.payload
  }

  /** False: the kernel is full. */
  protected push(bytes: Buffer): boolean {
    const response: ServerResponse & { flush?: () => void } = this.response
    const hasRoom = response.write(bytes)
    // Compression that was asked for all the same holds every event back until it is flushed.
    response.flush?.()
    return hasRoom
  }

  // One listener for all waits: compression puts it on a stream of its own, from where it cannot be taken away again.
  protected onceDrained(goOn: () => void): void {
    if (!this.#goOn) this.response.on('drain', () => this.#drained())
    this.#goOn = goOn
  }

  #drained(): void {
    const goOn = this.#goOn
    this.#goOn = nothingWaits // what waited holds a frame
    goOn?.()
  }

  // A large frame goes in pieces: otherwise a client that is slow with it could not be told from one that has stalled.
  #writeFrom(bytes: Buffer, start: number): boolean {
    for (let at = start; at < bytes.length; at += PIECE) {
      if (this.push(bytes.length <= PIECE ? bytes : bytes.subarray(at, at + PIECE))) continue
      this.onceDrained(() => this.#writeOn(bytes, at + PIECE))
      return false
    }
    return true
  }

  #writeOn(bytes: Buffer, at: number): void {
    this.owner?._progressed()
    if (this.#writeFrom(bytes, at)) this.owner?._drained()
  }
}

function nothingWaits(): void {}

const pipelined = new WeakMap<Socket, Set<() => void>>()

// A pipelined response gets its socket when its turn comes. A connection lost before that tells only the request's:
// one listener for all that wait, because a client may pipeline as many as it likes.
function watchPipelined(response: ServerResponse, gone: () => void): void {
  const socket = response.req?.socket
  if (!socket) return
  const waiting = pipelined.get(socket) ?? watchSocket(socket)
  waiting.add(gone)
  response.once('socket', () => {
    waiting.delete(gone)
    tune(response)
  })
}

function watchSocket(socket: Socket): Set<() => void> {
  const waiting = new Set<() => void>()
  pipelined.set(socket, waiting)
  socket.once('close', () => {
    for (const gone of waiting) gone()
  })
  return waiting
}

// An HTTP/2 connection belongs to more than this stream.
function tune(response: NodeResponse): void {
  if (isHttp2(response)) return
  response.socket?.setNoDelay?.(true)
  response.socket?.setTimeout?.(0)
}
