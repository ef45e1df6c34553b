import type { Protocol } from '../protocol.ts'
import type { Endpoint } from './endpoint.ts'
import { Http1Transport } from './http1-transport.ts'
import { Http2Transport, type SessionCounts } from './http2-transport.ts'
import type { Transport } from './transport.ts'

/** Returns a transport for a version of HTTP. `streams` is how many share a session of HTTP/2. */
export function openTransport(
  protocol: Protocol,
  endpoint: Endpoint,
  streams: number,
  counts: SessionCounts = { sessions: 0, openSessions: 0 },
): Transport {
  return protocol === 'HTTP/2' ? new Http2Transport(endpoint, streams, counts) : new Http1Transport(endpoint)
}
