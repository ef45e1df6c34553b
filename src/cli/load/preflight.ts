import { once } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { portOf } from '../connection-options.ts'
import { describeNetworkError } from '../network-error.ts'
import { printable } from '../printable.ts'
import type { Protocol } from '../protocol.ts'
import { UsageError } from '../usage-error.ts'
import type { Address } from './address.ts'
import type { Endpoint } from './endpoint.ts'
import { foreignEncoding, isEventStream, streamRequest } from './event-source.ts'
import { findHttp1Header } from './http2-transport.ts'
import { type HttpVersion, negotiate } from './negotiate.ts'
import { openTransport } from './open-transport.ts'
import { describeProtocolError } from './protocol-error.ts'
import type { MixOptions } from './scenario.ts'
import type { Transport } from './transport.ts'

const TIMEOUT = 15_000
const ENDED = 'The run was ended before it began.'

/** The options of the connections of a run. */
export interface ConnectionOptions {
  readonly isInsecure: boolean
  readonly http: HttpVersion
  /** The maximum of streams that share a session of HTTP/2. */
  readonly streamsPerSession: number
}

/** The address and the protocol of an endpoint that was reached. */
export interface ReachedEndpoint {
  /** The first of its addresses that accepts a connection. */
  readonly address: Address
  readonly protocol: Protocol
  /** How many streams share a connection. */
  readonly streamsPerConnection: number
}

interface Response {
  readonly status: number
  readonly headers: IncomingHttpHeaders
}

type Headers = Readonly<Record<string, string>>

/**
 * Opens an endpoint once, and closes it after its response headers. Throws `UsageError` if the endpoint is not an event
 * stream, because a run would measure only failures.
 */
export async function checkEndpoint(
  { url, headers }: Pick<MixOptions, 'url' | 'headers'>,
  addresses: readonly Address[],
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<ReachedEndpoint> {
  let failure: unknown
  for (const address of addresses) {
    try {
      const endpoint = { url, address, isInsecure: options.isInsecure }
      return await withinTime(url, signal, (ended) => check(endpoint, headers, options, ended))
    } catch (error) {
      if (error instanceof UsageError) throw error
      failure ??= error
    }
  }
  throw new UsageError(
    describeProtocolError(failure, url, options.http) ?? describeNetworkError(failure, url),
  )
}

/** Returns the first address that accepts a connection. Throws `UsageError` if none does. */
export async function reachable(
  addresses: readonly Address[],
  url: URL,
  signal: AbortSignal,
): Promise<Address> {
  const port = portOf(url)
  let failure: unknown
  for (const address of addresses) {
    const socket = connect({ host: address.address, port, signal, timeout: TIMEOUT })
    socket.on('timeout', () => socket.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })))
    try {
      await once(socket, 'connect')
      return address
    } catch (error) {
      if (signal.aborted) throw new UsageError(ENDED)
      failure ??= error
    } finally {
      socket.destroy()
    }
  }
  throw new UsageError(describeNetworkError(failure, url))
}

async function check(
  endpoint: Endpoint,
  headers: Headers,
  { http, streamsPerSession }: ConnectionOptions,
  signal: AbortSignal,
): Promise<ReachedEndpoint> {
  const protocol = await negotiate(endpoint, http, signal)
  checkHeaders(headers, protocol)
  const transport = openTransport(protocol, endpoint, streamsPerSession)
  try {
    const response = await responseOf(transport, headers, signal)
    const { streamsPerConnection } = transport
    checkResponse(response, endpoint.url)
    return { address: endpoint.address, protocol, streamsPerConnection }
  } finally {
    transport.close()
  }
}

/** Rejects if a task does not end in time, or if the run is ended. Then aborts the signal of the task. */
async function withinTime<Value>(
  { host }: URL,
  signal: AbortSignal,
  task: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const controller = new AbortController()
  let reject: (error: Error) => void = () => {}
  const ended = new Promise<never>((_, onEnd) => {
    reject = onEnd
  })
  const timer = setTimeout(() => {
    reject(new UsageError(`${host} sent no response headers within ${TIMEOUT / 1000} s.`))
  }, TIMEOUT)
  const onAbort = () => reject(new UsageError(ENDED))
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([task(controller.signal), ended])
  } finally {
    controller.abort()
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

/** Resolves with the response headers. The body is not read. */
function responseOf(transport: Transport, headers: Headers, signal: AbortSignal): Promise<Response> {
  return new Promise((resolve, reject) => {
    const exchange = transport.send(streamRequest(headers), {
      onResponse: (status, received) => resolve({ status, headers: received }),
      onBody() {},
      onEnd() {},
      onFailure: reject,
    })
    signal.addEventListener('abort', () => {
      exchange.destroy()
      reject(signal.reason)
    })
  })
}

/** Throws `UsageError` for a header that the protocol forbids. */
export function checkHeaders(headers: Headers, protocol: Protocol): void {
  const name = protocol === 'HTTP/2' ? findHttp1Header(headers) : undefined
  if (name !== undefined)
    throw new UsageError(`The header ${name} cannot be sent over HTTP/2. Omit it, or use --http 1.1.`)
}

/** Throws `UsageError` for a response that `EventSource` does not accept. */
function checkResponse({ status, headers }: Response, url: URL): void {
  const encoding = foreignEncoding(headers)
  if (status === 200 && isEventStream(headers) && encoding === undefined) return
  if (status === 200 && isEventStream(headers))
    throw new UsageError(
      printable(
        `${url.href} has the Content-Encoding ${encoding}, although the request accepts none. Events cannot be read from it.`,
      ),
    )
  const type = headers['content-type'] ?? ''
  throw new UsageError(printable(describeResponse(status, type, headers.location, url)))
}

function describeResponse(status: number, type: string, location: string | undefined, url: URL): string {
  const { href } = url
  if (status >= 300 && status < 400 && location !== undefined) {
    const isLogin = /log-?in|sign-?in|auth/i.test(location)
    const target = URL.canParse(location, href) ? new URL(location, href).href : location
    const advice = isLogin
      ? 'It may be a login page. Send a --header with a token or a cookie.'
      : 'Use that URL.'
    return `${href} redirects to ${target}. ${advice}`
  }
  if (status === 401 || status === 403)
    return `${href} responded with status ${status}. Send a --header with a token or a cookie.`
  if (status !== 200) return `${href} responded with status ${status}, not with an event stream.`
  if (/^text\/html/i.test(type))
    return `${href} is a web page, not an event stream. It may be a login page. Send a --header with a token or a cookie.`
  return `${href} has ${type === '' ? 'no Content-Type' : `the Content-Type ${type}`}, not text/event-stream.`
}
