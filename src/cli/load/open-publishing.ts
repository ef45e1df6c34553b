import type { Protocol } from '../protocol.ts'
import { checkAddresses } from './address.ts'
import type { Endpoint } from './endpoint.ts'
import { negotiate } from './negotiate.ts'
import { openTransport } from './open-transport.ts'
import type { LoadOptions } from './options.ts'
import { checkHeaders, reachable } from './preflight.ts'
import { type Publish, publishByCommand, publishByRequest } from './publisher.ts'

/** How long the TLS handshake may take, in ms. */
const TIMEOUT = 15_000

/** How the probes of a run are published. */
export interface Publishing {
  readonly publish: Publish
  /** Closes the connection. */
  close(): void
}

/**
 * Returns how probes are published. Undefined without them. Throws `UsageError` for an address that may not be used.
 */
export async function openPublishing(
  options: LoadOptions,
  signal: AbortSignal,
): Promise<Publishing | undefined> {
  const { probe, isOwnServer, isInsecure } = options
  if (probe === undefined) return undefined
  if (typeof probe.target === 'string') return { publish: publishByCommand(probe.target), close() {} }
  const { url, headers, body } = probe.target
  const address = await reachable(await checkAddresses(url, isOwnServer), url, signal)
  const endpoint = { url, address, isInsecure }
  const protocol = await protocolOf(endpoint, options, signal)
  checkHeaders(headers, protocol)
  const transport = openTransport(protocol, endpoint, 1)
  return { publish: publishByRequest(transport, headers, body), close: () => transport.close() }
}

/** Returns the protocol of the server that receives probes, which may differ from that of the streams. */
async function protocolOf(
  endpoint: Endpoint,
  { http, url }: LoadOptions,
  signal: AbortSignal,
): Promise<Protocol> {
  // Without TLS, a server cannot negotiate a protocol.
  const isSame = endpoint.url.origin === url.origin
  const version = http === '2' && !isSame ? 'auto' : http
  // Probes that cannot be published are counted, and reported with their cause.
  const ended = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)])
  return negotiate(endpoint, version, ended).catch(() => 'HTTP/1.1')
}
