import type { Address, ConnectionListener, RedisConnection } from './connection.ts'

/** A set of servers, of which one has the key of a store. The key may move to another one. */
export interface Topology {
  /** Whether servers respond with redirections, so that a connection MUST be probed before it is used. */
  readonly redirects: boolean
  /**
   * Opens a connection to the server at an address, by default to one that is likely to have the key. Rejects if no
   * server is known, or once the signal is aborted. The caller closes the connection, also if it is lost.
   */
  open(listener: ConnectionListener, signal: AbortSignal, address?: Address): Promise<RedisConnection>
  close(): void
}
