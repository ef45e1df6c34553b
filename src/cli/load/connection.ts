import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { connect as connectTcp, isIP } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type Address, isLocal } from './address.ts'

/** Where a request is sent. */
export interface Endpoint {
  readonly url: string
  /** The name in the URL is not looked up again. */
  readonly address: Address
  readonly headers: Readonly<Record<string, string>>
  readonly isInsecure: boolean
}

// [spec] Those of `EventSource`. Node.js otherwise sends `Connection: close` for a connection without an agent.
const HEADERS = { accept: 'text/event-stream', 'cache-control': 'no-cache', connection: 'keep-alive' }

/** Fewer than the ports that a system has for connections from one address, such as 28 232 on Linux. */
const STREAMS_PER_ADDRESS = 20_000

/** Begins a request of an event stream. `index` is that of its stream. */
export function requestStream(endpoint: Endpoint, lastEventId = '', index = 0): ClientRequest {
  // [spec] The id is sent as UTF-8. Node.js writes headers as Latin-1.
  const id = lastEventId === '' ? {} : { 'last-event-id': Buffer.from(lastEventId).toString('latin1') }
  return begin(endpoint, { method: 'GET', headers: { ...HEADERS, ...endpoint.headers, ...id } }, index)
}

/** True if a response has the type of an event stream, with any parameters. */
export function isEventStream(headers: IncomingHttpHeaders): boolean {
  return /^text\/event-stream(;|\s|$)/i.test(headers['content-type'] ?? '')
}

/** Returns why a response is not an event stream: its status, or the name of a header. */
export function causeOfRefusal({ statusCode = 0, headers }: IncomingMessage): string | undefined {
  // [spec] Only this status and type are an event stream. For others, `EventSource` does not reconnect.
  if (statusCode !== 200) return String(statusCode)
  if (!isEventStream(headers)) return 'Content-Type'
  return foreignEncoding(headers) === undefined ? undefined : 'Content-Encoding'
}

/** Returns the encoding of a compressed response, which is not asked for. `EventSource` decompresses it. */
export function foreignEncoding(headers: IncomingHttpHeaders): string | undefined {
  const encoding = headers['content-encoding'] ?? ''
  return /^(identity)?$/i.test(encoding) ? undefined : encoding
}

/** Begins a request with its method and headers. */
export function begin(
  { url, address, isInsecure }: Endpoint,
  options: { readonly method: string; readonly headers: Readonly<Record<string, string | number>> },
  index = 0,
): ClientRequest {
  const { protocol, hostname, port, pathname, search } = new URL(url)
  const isTls = protocol === 'https:'
  const target = {
    host: address.address,
    port: Number(port || (isTls ? 443 : 80)),
    ...localAddress(address, index),
  }
  const name = hostname.replace(/^\[(.*)\]$/, '$1')
  // RFC 6066 3: an address is not a server name.
  const tls = {
    ...(isIP(name) === 0 && { servername: name }),
    rejectUnauthorized: !isInsecure,
    ALPNProtocols: ['http/1.1'],
  }
  const request = (isTls ? requestHttps : requestHttp)({
    ...options,
    hostname: name,
    port: target.port,
    path: pathname + search,
    // Without an agent, whose list of sockets is searched whenever one is closed.
    createConnection: () => (isTls ? connectTls({ ...target, ...tls }) : connectTcp(target)),
  })
  // A response with the status 101. Without a listener, the request would end without a response.
  request.on('upgrade', (response, socket) => {
    socket.destroy()
    request.emit('response', response)
  })
  return request
}

/** Returns another loopback address for each 20 000 streams. On other systems than Linux there is only one. */
function localAddress(address: Address, index: number): { localAddress?: string } {
  const block = Math.floor(index / STREAMS_PER_ADDRESS)
  if (block === 0 || address.family === 6 || process.platform !== 'linux' || !isLocal(address)) return {}
  return { localAddress: `127.0.0.${block + 1}` }
}
