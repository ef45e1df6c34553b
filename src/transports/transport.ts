import type { Frame } from '../event/frame.ts'

/** What a transport tells its stream. */
export interface TransportOwner {
  /** @internal There is room again, after a `write` that returned false. */
  _drained(): void
  /** @internal The kernel has taken a part of a large frame: the client is slow, and has not stalled. */
  _progressed(): void
  /** @internal The way out is over: finished, lost or broken. Said once, and never from within a call of the transport. */
  _closed(error?: Error): void
  /** @internal From now on there is a shorter way out: it is open, and takes all that follows. */
  _goesOnThrough(transport: Transport): void
}

/**
 * The way out of one stream, whose head and first byte have left. The stream calls nothing after `destroy` and only
 * `destroy` after `end`.
 */
export interface Transport {
  /** Called once, before anything else. */
  open(owner: TransportOwner): void
  /** Takes the frame, whatever the answer. False: the kernel is full, hold back until `_room` or `_gone`. */
  write(frame: Frame): boolean
  /** The connection is silent: asks the kernel to find out whether the other side still lives. May be said again. */
  probe(): void
  /** Ends the body after what was written. `_gone` follows. */
  end(): void
  /** Cuts the connection, or resets the stream of one that carries several. */
  destroy(): void
}

/** The way out of a stream that is over before it began. */
export const noTransport: Transport = {
  open() {},
  write: () => false,
  probe() {},
  end() {},
  destroy() {},
}
