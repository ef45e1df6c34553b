import type { Server } from 'node:net'
import { checkOptions, isTime } from '../check-options.ts'
import { describe, SseError } from '../errors.ts'
import { ServerConnections } from './server-connections.ts'

/** How to close a server. Times are in ms. */
export interface CloseServerOptions {
  /** Time in ms for open responses to end. Connections that are still open afterwards are cut. Default 5 000. */
  grace?: number | undefined
}

const CHECKS = { grace: isTime }
const DEFAULTS = { grace: 5_000 }

/**
 * Returns a function that closes a server of `node:http`, `node:https` or `node:http2`. MUST be called before the
 * server accepts its first connection, because Node.js does not list the sessions of HTTP/2.
 *
 * The returned function stops accepting connections and closes idle ones. The header `Connection: close` of responses
 * that begin, and GOAWAY on HTTP/2, announce that the others are closed. It resolves when the last connection is
 * closed, at the latest after `grace`. It does not end the streams: call `hub.shutdown()` or `stream.close()`
 * meanwhile. It rejects with `SseError` `ERR_SSE_OPTION`.
 *
 * Throws `SseError` `ERR_SSE_OPTION` if the argument is not a server.
 */
export function serverCloser(server: Server): (options?: CloseServerOptions) => Promise<void> {
  if (!isServer(server))
    throw new SseError('ERR_SSE_OPTION', `Expected a server of node:http, not ${describe(server)}.`)
  const connections = new ServerConnections(server)
  return async (options = {}) => {
    await connections.close({ ...DEFAULTS, ...checkOptions(options, CHECKS) }.grace)
  }
}

/** True if a value has the methods of a server of `node:http`, `node:https` or `node:http2`. */
export function isServer(value: unknown): value is Server {
  const methods = ['close', 'on', 'prependListener'] as const
  return methods.every((name) => typeof (Object(value) as Partial<Server>)[name] === 'function')
}
