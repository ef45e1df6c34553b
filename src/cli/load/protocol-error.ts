import type { HttpVersion } from './negotiate.ts'
import type { Failure } from './transport.ts'

/** Describes the failure of a server that uses another version of HTTP. Undefined for all other failures. */
export function describeProtocolError(
  error: unknown,
  { host }: URL,
  version: HttpVersion,
): string | undefined {
  const { code, message, rawPacket } = error as Failure & { readonly rawPacket?: Buffer }
  if (code === 'ALPN') return `${host} does not offer HTTP/2 in its TLS handshake (ALPN). Use --http 1.1.`
  if (/no application protocol/i.test(message)) {
    return version === '1.1'
      ? `${host} does not offer HTTP/1.1 in its TLS handshake (ALPN). Use --http 2.`
      : `${host} offers neither HTTP/2 nor HTTP/1.1 in its TLS handshake (ALPN).`
  }
  if (code === 'ERR_HTTP2_ERROR') return `${host} does not respond in HTTP/2. Use --http 1.1.`
  if (rawPacket && beginsWithSettings(rawPacket)) return `${host} responds in HTTP/2. Use --http 2.`
  return undefined
}

/** True for a frame SETTINGS of the stream 0, which each HTTP/2 server sends first (RFC 9113 4.1 and 6.5). */
function beginsWithSettings(bytes: Buffer): boolean {
  return bytes.length >= 9 && bytes[3] === 4 && bytes.readUInt32BE(5) === 0
}
