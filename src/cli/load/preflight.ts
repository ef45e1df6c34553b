import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { describeNetworkError } from '../network-error.ts'
import { printable } from '../printable.ts'
import { UsageError } from '../usage-error.ts'
import type { Address } from './address.ts'
import { foreignEncoding, isEventStream, requestStream } from './connection.ts'
import type { MixOptions } from './scenario.ts'

const TIMEOUT = 15_000
const ENDED = 'The run was ended before it began.'

/**
 * Opens an endpoint once, and closes it after its response headers. Returns the first of its addresses that accepts a
 * connection. Throws `UsageError` if the endpoint is not an event stream, because a run would measure only failures.
 */
export async function checkEndpoint(
  { url, headers }: Pick<MixOptions, 'url' | 'headers'>,
  addresses: readonly Address[],
  isInsecure: boolean,
  signal: AbortSignal,
): Promise<Address> {
  let failure: unknown
  for (const address of addresses) {
    try {
      const response = await open({ url: url.href, address, headers, isInsecure }, signal)
      response.destroy()
      checkResponse(response, url)
      return address
    } catch (error) {
      if (error instanceof UsageError) throw error
      failure ??= error
    }
  }
  throw new UsageError(describeNetworkError(failure, url))
}

/** Returns the first of the addresses that accepts a connection. Throws `UsageError` if none does. */
export async function reachable(
  addresses: readonly Address[],
  url: URL,
  signal: AbortSignal,
): Promise<Address> {
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
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

function open(endpoint: Parameters<typeof requestStream>[0], signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = requestStream(endpoint)
    const { host } = new URL(endpoint.url)
    const timer = setTimeout(() => {
      request.destroy(new UsageError(`${host} sent no response headers within ${TIMEOUT / 1000} s.`))
    }, TIMEOUT)
    const onAbort = () => request.destroy(new UsageError(ENDED))
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort)
    request.on('response', (response) => {
      // Of the body, which is destroyed.
      response.on('error', () => {})
      resolve(response)
    })
    request.on('error', reject)
    request.on('close', () => {
      reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' }))
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    })
    request.end()
  })
}

/** Throws `UsageError` for a response that `EventSource` does not accept. */
function checkResponse({ statusCode = 0, headers }: IncomingMessage, url: URL): void {
  const encoding = foreignEncoding(headers)
  if (statusCode === 200 && isEventStream(headers) && encoding === undefined) return
  if (statusCode === 200 && isEventStream(headers))
    throw new UsageError(
      printable(
        `${url.href} has the Content-Encoding ${encoding}, although none was asked for. Events cannot be read from it.`,
      ),
    )
  const type = headers['content-type'] ?? ''
  throw new UsageError(printable(describeResponse(statusCode, type, headers.location, url)))
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
  return `${href} has the Content-Type ${type === '' ? 'of no header' : type}, not text/event-stream.`
}
