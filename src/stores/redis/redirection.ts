import type { Address } from './connection.ts'

/** The response of a server that does not execute a command, because another one has the key. */
export interface Redirection {
  /** Undefined if the response does not name the other server. */
  readonly address?: Address | undefined
  /** Whether the slot is being migrated, so that the other server requires ASKING before each command. */
  readonly isAsking: boolean
}

// The host is empty if it is unknown to the server.
const NAMED = /^(MOVED|ASK) \d+ (\S+):(\d+)$/
// The server became a replica, or it lost the majority of its cluster.
const UNNAMED = /^(MOVED|ASK|READONLY|UNBLOCKED|CLUSTERDOWN)\b/

/** Returns the redirection of an error, or undefined if there is none. */
export function redirectionOf({ message }: Error): Redirection | undefined {
  const [, kind, host, port] = NAMED.exec(message) ?? []
  if (host !== undefined) return { address: { host, port: Number(port) }, isAsking: kind === 'ASK' }
  return UNNAMED.test(message) ? { isAsking: false } : undefined
}
