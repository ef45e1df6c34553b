import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { hostOf } from '../connection-options.ts'
import { describeNetworkError } from '../network-error.ts'
import { UsageError } from '../usage-error.ts'

/** An address of a host. */
export interface Address {
  readonly address: string
  readonly family: 4 | 6
}

type Lookup = (hostname: string) => Promise<readonly Address[]>

const LOCAL = new BlockList()
LOCAL.addSubnet('127.0.0.0', 8, 'ipv4')
LOCAL.addAddress('::1', 'ipv6')
// A connection to the unspecified address reaches the local machine.
LOCAL.addAddress('0.0.0.0', 'ipv4')
LOCAL.addAddress('::', 'ipv6')

/**
 * Returns all addresses of a host. Connections are opened only to them, so that a later response of the name server
 * cannot direct the load elsewhere. Throws `UsageError` if one of them is not the local machine, unless `isAllowed`.
 */
export async function checkAddresses(
  url: URL,
  isAllowed: boolean,
  resolve: Lookup = lookupAll,
): Promise<readonly Address[]> {
  const hostname = hostOf(url)
  const addresses = await addressesOf(hostname, url, resolve)
  const foreign = addresses.find((each) => !isLocal(each))
  if (foreign === undefined || isAllowed) return addresses
  const resolved = foreign.address === hostname ? '' : ` (${foreign.address})`
  throw new UsageError(
    `${url.host}${resolved} is not this machine. Add --i-own-this-server if you may put load on that server.`,
  )
}

/** True if a connection to an address stays on the machine. */
export function isLocal({ address, family }: Address): boolean {
  // `check` also recognizes an IPv4 address within an IPv6 address, such as ::ffff:127.0.0.1.
  return LOCAL.check(address.replace(/%.*$/, ''), family === 4 ? 'ipv4' : 'ipv6')
}

async function addressesOf(hostname: string, url: URL, resolve: Lookup): Promise<readonly Address[]> {
  const version = isIP(hostname)
  if (version !== 0) return [{ address: hostname, family: version === 4 ? 4 : 6 }]
  try {
    return await resolve(hostname)
  } catch (error) {
    throw new UsageError(describeNetworkError(error, url))
  }
}

async function lookupAll(hostname: string): Promise<readonly Address[]> {
  const found = await lookup(hostname, { all: true, verbatim: true })
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }))
}
