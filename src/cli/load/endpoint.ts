import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { portOf, tlsOptionsOf } from '../connection-options.ts'
import type { AlpnName } from '../protocol.ts'
import { type Address, isLocal } from './address.ts'

/** The target of requests. */
export interface Endpoint {
  readonly url: URL
  /** The name in the URL is not resolved again. */
  readonly address: Address
  readonly isInsecure: boolean
}

/** Less than the number of ports that a system has for connections from one address, such as 28 232 on Linux. */
const STREAMS_PER_ADDRESS = 20_000

/**
 * Connects to an endpoint. `protocols` are offered if it uses TLS. `index` is that of a stream, which selects the local
 * address.
 */
export function connectTo(
  { url, address, isInsecure }: Endpoint,
  protocols: readonly AlpnName[],
  index = 0,
): Socket | TLSSocket {
  const target = { host: address.address, port: portOf(url), ...localAddress(address, index) }
  if (url.protocol !== 'https:') return connectTcp(target)
  return connectTls({ ...target, ...tlsOptionsOf(url, protocols, isInsecure) })
}

/** Returns a different loopback address for each 20 000 streams. Systems other than Linux have only one. */
function localAddress(address: Address, index: number): { localAddress?: string } {
  const block = Math.floor(index / STREAMS_PER_ADDRESS)
  if (block === 0 || address.family === 6 || process.platform !== 'linux' || !isLocal(address)) return {}
  return { localAddress: `127.0.0.${block + 1}` }
}
