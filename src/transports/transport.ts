import type { Frame } from '../event/frame.ts'

/** Receives the notifications of its transport. */
export interface TransportOwner {
  /** @internal There is room again after a `write` that returned false, or the peer has read more of an ended body. */
  _drained(): void
  /** @internal The response is finished, lost or broken. Called once, and never from within a call of the transport. */
  _closed(error?: Error): void
}

/**
 * The output of one stream, whose response headers and first byte were sent. The stream MUST NOT call anything after
 * `destroy`, and only `destroy` after `end`.
 */
export interface Transport {
  /** Whether bytes that were written wait for a client that does not read, or for the next turns of the event loop. */
  readonly hasUnsent?: boolean
  /** Called once, before all other methods. */
  open(owner: TransportOwner): void
  /** Returns the bytes that are written for a frame, which may be framed. Default: its payload. */
  bytesOf?(frame: Frame): Buffer
  /**
   * Accepts the bytes in any case. Returns false when the kernel is full. The stream MUST then wait for `_drained` or
   * `_closed`.
   */
  write(bytes: Buffer): boolean
  /** Sends the response headers, which may wait for the first write. Called at the end of the turn that opened it. */
  sendHeaders?(): void
  /**
   * Makes the kernel probe a silent connection, to detect a lost peer. May be called again. A web body has none,
   * because the connection belongs to the server that reads the body.
   */
  probe?(): void
  /** Ends the body after everything written. `_closed` follows. */
  end(): void
  /** Releases the response to the framework, unless its headers were sent. `destroy` MUST follow. */
  abandon?(): void
  /** Cuts the connection. On HTTP/2, resets the stream. */
  destroy(): void
}

/** The output of a stream that is closed, or whose response headers cannot be sent. */
export const noTransport: Transport = {
  open() {},
  write: () => false,
  end() {},
  destroy() {},
}

/** Returns the bytes that a transport writes for a frame. */
export function bytesFor(transport: Transport, frame: Frame): Buffer {
  return transport.bytesOf ? transport.bytesOf(frame) : frame.payload
}
