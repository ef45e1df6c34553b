import { isIP } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { AlpnName } from './protocol.ts'

/** Returns the host of a URL, without the brackets of an IPv6 address. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1')
}

export function portOf({ port, protocol }: URL): number {
  return Number(port || (protocol === 'https:' ? 443 : 80))
}

/** Returns the options of a TLS connection to the host of a URL. `protocols` are offered, the preferred one first. */
export function tlsOptionsOf(
  url: URL,
  protocols: readonly AlpnName[],
  isInsecure: boolean,
): ConnectionOptions {
  const host = hostOf(url)
  return {
    ALPNProtocols: [...protocols],
    rejectUnauthorized: !isInsecure,
    // RFC 6066 3: an address is not a server name.
    ...(isIP(host) === 0 && { servername: host }),
  }
}
