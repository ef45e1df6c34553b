import type { Address, ConnectionListener, RedisConnection } from './connection.ts'

/** Servers of which one has the key of a store, and which one changes. */
export interface Topology {
  /** Whether servers respond with redirections, so that a connection MUST be probed before it is used. */
  readonly redirects: boolean
  /**
   * Opens a connection to the server at an address, by default to one that is likely to have the key. Rejects if no server
   * is known. A connection that is lost is closed by the caller.
   */
  open(listener: ConnectionListener, address?: Address): Promise<RedisConnection>
  close(): void
}
