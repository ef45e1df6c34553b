import type { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'
import { setNodeImmediate } from '../runtime.ts'
import type { Transport, TransportOwner } from './transport.ts'

/** The response of `node:http` or `node:http2`. */
export type NodeResponse = ServerResponse | Http2ServerResponse

// RFC 9113 7. Literals, so that `node:http2` is not loaded for them.
const NO_ERROR = 0
const CANCEL = 8

// How long the reset of a stream may take until its session is destroyed, in ms.
const RESET_TIME = 30_000

/** Whether a response is of `node:http2`. */
export function isHttp2(response: NodeResponse): response is Http2ServerResponse {
  return typeof (response as Partial<Http2ServerResponse>).stream?.close === 'function'
}

// How long a connection is silent before the kernel probes it, in ms.
const PROBE_DELAY = 15_000

/** The general transport, for HTTP/1.0, HTTP/2, a response that a middleware has wrapped, and a test double. */
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
    // The `close` of the response, because that of the request is emitted as soon as the body of a POST has been read.
    // `once` would hold three more objects per listener. Instead, the owner ignores a second call.
    this.response.on('close', closed).on('finish', closed).on('error', closed)
    if (isHttp2(this.response)) destroyOnReset(this.response)
    else if (!this.response.socket) {
      watchPipelined(this.response, closed)
      this.response.once('socket', () => configureSocket(this.response))
    }
  }

  // With a window of 0, HTTP/2 sends nothing, although `write` returns true up to the high-water mark.
  get hasUnsent(): boolean {
    return this.response.writableLength > 0
  }

  write(bytes: Buffer): boolean {
    const response: ServerResponse & { flush?: () => void } = this.response
    // The application has ended the response. A write would be an error, which would cut what it has written. `close`
    // or `finish` follows, otherwise the stall deadline.
    if (response.writableEnded) return false
    const hasRoom = response.write(bytes)
    // A compression middleware that ignores `no-transform` holds back every event until it is flushed.
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
    if (isHttp2(this.response)) cancel(this.response)
    else this.response.destroy()
  }

  // One listener for the life of the response, because compression moves it to its own stream, from which it cannot be
  // removed.
  #listenForDrain(): void {
    if (this.#listensForDrain) return
    this.#listensForDrain = true
    this.response.on('drain', () => this.owner?._drained())
  }
}

// Node.js waits for a pending write when the client resets a stream with NO_ERROR. The write is never completed, so
// that the stream and its session would stay forever. The stream is destroyed in the next turn, because one without
// such a write closes by itself.
function destroyOnReset({ stream }: Http2ServerResponse): void {
  stream.once('aborted', () => {
    if (isResetWithoutError(stream)) setNodeImmediate?.(() => stream.destroy())
  })
}

// Node.js sends no reset on a connection that the client does not read, and none after an error of the protocol. The
// session would then outlive the client, so that it is destroyed after `RESET_TIME`.
function cancel({ stream }: Http2ServerResponse): void {
  if (stream.destroyed) return
  if (isResetWithoutError(stream)) return void stream.destroy()
  stream.close(CANCEL)
  const timer = setTimeout(() => stream.session?.destroy(), RESET_TIME)
  timer.unref?.()
  stream.once('close', () => clearTimeout(timer))
}

function isResetWithoutError({ closed, rstCode }: Http2ServerResponse['stream']): boolean {
  return closed && rstCode === NO_ERROR
}

// The most responses of one connection that wait for their turn. Each may collect a page, although its request costs
// the client only some bytes.
const MAX_PIPELINED = 100

const pipelined = new WeakMap<Socket, Map<ServerResponse, Set<() => void>>>()
const lastPipelined = new WeakMap<Socket, ServerResponse>()

/**
 * Calls `closed` when a response is closed, or when its connection is lost before its turn. Returns a function that
 * removes `closed`.
 */
export function onClose(response: NodeResponse, closed: () => void): () => void {
  response.once('close', closed)
  const waiting = isHttp2(response) || response.socket ? undefined : watchPipelined(response, closed)
  return () => {
    response.off('close', closed)
    waiting?.delete(closed)
  }
}

// A pipelined response gets its socket when its turn comes. Only the request's socket reports a connection lost before
// that. All pipelined responses share one listener, because a client may pipeline many requests.
function watchPipelined(response: ServerResponse, closed: () => void): Set<() => void> | undefined {
  const socket = response.req?.socket
  if (!socket) return undefined
  const waiting = pipelined.get(socket) ?? watchSocket(socket)
  const known = waiting.get(response)
  if (known) return known.add(closed)
  const listeners = new Set([closed])
  waiting.set(response, listeners)
  response.once('socket', () => waiting.delete(response))
  if (waiting.size > MAX_PIPELINED) socket.destroy()
  lastPipelined.set(socket, response)
  return listeners
}

/** Whether a response to a later request on the same connection of HTTP/1 follows. */
export function isFollowed(response: NodeResponse): boolean {
  const last = lastPipelined.get(response.req?.socket)
  return last !== undefined && last !== response && !last.writableFinished
}

function watchSocket(socket: Socket): Map<ServerResponse, Set<() => void>> {
  const waiting = new Map<ServerResponse, Set<() => void>>()
  pipelined.set(socket, waiting)
  socket.once('close', () => {
    for (const listeners of waiting.values()) for (const closed of listeners) closed()
  })
  return waiting
}

// An HTTP/2 connection carries other streams too, so that its socket is not configured.
function configureSocket(response: NodeResponse): void {
  if (isHttp2(response)) return
  response.socket?.setNoDelay?.(true)
  response.socket?.setTimeout?.(0)
}
