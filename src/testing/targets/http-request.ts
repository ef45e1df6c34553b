import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { headersOf, type OpenResponse } from './open-response.ts'

/** The request that `openEvents` sends to a URL, a server or an app. */
export interface RequestOptions {
  /** Path and query, for example `/events?room=7`. Default: that of the URL, otherwise `/`. */
  path?: string | undefined
  /** Default `GET`. */
  method?: string | undefined
  /** Headers to send. Default: `Accept: text/event-stream`, as an `EventSource` sends it. */
  headers?: ConstructorParameters<typeof Headers>[0] | undefined
  /** Body to send, with any method. Default: none. */
  body?: string | Uint8Array | undefined
}

export interface RequestSettings extends RequestOptions {
  readonly lastEventId: string
  readonly signal: AbortSignal
  /** True for a server of the test itself, whose certificate is usually self-signed. */
  readonly acceptSelfSigned?: boolean
}

/** Returns the URL of a path on a server. A path such as `//events` does not change the host. */
export function urlOf(base: string | URL, path: string | undefined): URL {
  const url = new URL(base)
  if (path === undefined) return url
  const [pathname, ...query] = path.split('?')
  return Object.assign(url, { pathname, search: query.join('?') })
}

/**
 * Sends a request over its own connection. Does not use `fetch`, which would request compression and reuse connections,
 * and which tests may have mocked.
 */
export async function openRequest(
  url: URL,
  { method = 'GET', headers: given, body, lastEventId, signal, acceptSelfSigned = false }: RequestSettings,
): Promise<OpenResponse> {
  const send = url.protocol === 'https:' ? requestHttps : requestHttp
  const headers = headersToSend(given, lastEventId)
  // Node sends a string body in one string with the headers, which would then be encoded as UTF-8, not latin1.
  const bytes = body === undefined ? undefined : Buffer.from(body)
  // Without a length, Node sends the body of a GET without framing, and the server reads it as the next request.
  if (bytes && !headers['transfer-encoding']) headers['content-length'] ??= String(bytes.length)
  const options = { method, headers, agent: false as const, signal, rejectUnauthorized: !acceptSelfSigned }
  return new Promise((resolve, reject) => {
    const request = send(url, options, (response) => {
      const closed = new Promise<void>((resolve) => response.socket.once('close', () => resolve()))
      const close = () => {
        request.destroy()
        return closed
      }
      const { statusCode: status = 0, headersDistinct } = response
      resolve({ status, headers: headersOf(headersDistinct), body: response, close })
    })
    // After the headers have arrived, `reject` has no effect and the body reports the error.
    request.on('error', reject)
    request.end(bytes)
  })
}

function headersToSend(headers: RequestOptions['headers'], lastEventId: string): Record<string, string> {
  const sent = new Headers(headers)
  if (!sent.has('accept')) sent.set('Accept', 'text/event-stream')
  // [spec] The id is sent as UTF-8. Node writes header values as latin1, one byte per character.
  if (lastEventId) sent.set('Last-Event-ID', Buffer.from(lastEventId).toString('latin1'))
  return Object.fromEntries(sent)
}
