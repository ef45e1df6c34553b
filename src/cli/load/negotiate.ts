import { once } from 'node:events'
import type { TLSSocket } from 'node:tls'
import type { Protocol } from '../protocol.ts'
import { connectTo, type Endpoint } from './endpoint.ts'

/** The values of `--http`. */
export const HTTP_VERSIONS = ['auto', '1.1', '2'] as const

export type HttpVersion = (typeof HTTP_VERSIONS)[number]

/**
 * Returns the version of HTTP for an endpoint. With `auto`, the server chooses it in the TLS handshake. Without TLS, it
 * is HTTP/1.1, as in a browser. Rejects if there is no connection.
 */
export async function negotiate(
  endpoint: Endpoint,
  version: HttpVersion,
  signal: AbortSignal,
): Promise<Protocol> {
  if (version !== 'auto') return version === '2' ? 'HTTP/2' : 'HTTP/1.1'
  if (endpoint.url.protocol !== 'https:') return 'HTTP/1.1'
  const socket = connectTo(endpoint, ['h2', 'http/1.1']) as TLSSocket
  try {
    await once(socket, 'secureConnect', { signal })
    return socket.alpnProtocol === 'h2' ? 'HTTP/2' : 'HTTP/1.1'
  } finally {
    socket.on('error', () => {})
    socket.destroy()
  }
}
