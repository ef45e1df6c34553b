import type { OutgoingHttpHeaders } from 'node:http'
import { shutdownRefusalOf, webShutdownRefusal } from '../lifecycle/draining.ts'
import { isFollowed, isHttp2, type NodeResponse } from '../transports/node-response.ts'

/** The header of a response after which a client of HTTP/1 MUST NOT use its connection again (RFC 9112 9.6). */
const CLOSE = { Connection: 'close' }

/**
 * Returns the header that closes a connection after its response, if HTTP/1 allows it. Otherwise a server that closes
 * would wait for a client that reconnects on the same connection, again and again.
 */
export function closeHeaders(response: NodeResponse): OutgoingHttpHeaders {
  return isHttp2(response) || isFollowed(response) ? {} : CLOSE
}

/** Returns the same headers if the response begins during a shutdown. */
export function shutdownHeaders(response: NodeResponse): OutgoingHttpHeaders | undefined {
  return shutdownRefusalOf(response.req) && closeHeaders(response)
}

/** Adds the same header to those of a web response that begins during a shutdown. Returns the headers. */
export function withShutdownHeader(headers: Headers, request: Request): Headers {
  if (webShutdownRefusal()) addCloseHeader(headers, request)
  return headers
}

/**
 * Adds the header that closes the connection after a web response. Clients of HTTP/2 send no `Host` (RFC 9113 8.3.1).
 */
export function addCloseHeader(headers: Headers, request: Request): void {
  if (request.headers.has('host')) headers.set('Connection', CLOSE.Connection)
}
