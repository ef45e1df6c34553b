import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { headersOf, type OpenResponse } from './open-response.ts'

/** What is asked for, where the kit asks itself: of a URL, a server or an app. */
export interface RequestOptions {
  /** Path and query. Default `/`, or what the URL has. */
  path?: string | undefined
  /** Default `GET`. */
  method?: string | undefined
  /** By default it accepts an event stream, as an `EventSource` does. */
  headers?: ConstructorParameters<typeof Headers>[0] | undefined
  body?: string | Uint8Array | undefined
}

export interface RequestSettings extends RequestOptions {
  readonly lastEventId: string
  readonly signal: AbortSignal
  /** For a server that the test has started itself: its certificate is its own. */
  readonly acceptSelfSigned?: boolean
}

/** The URL of a path on a server, whatever the path looks like. */
export function urlOf(base: string | URL, path: string | undefined): URL {
  const url = new URL(base)
  if (path === undefined) return url
  const [pathname, ...query] = path.split('?')
  return Object.assign(url, { pathname, search: query.join('?') })
}

/**
 * Asks over a connection of its own, which is closed with the client. Not with `fetch`: it would ask for compression,
 * keep the connection, and may be replaced in tests.
 */
export async function openRequest(
  url: URL,
  { method = 'GET', body, signal, acceptSelfSigned = false, ...rest }: RequestSettings,
): Promise<OpenResponse> {
  const request = url.protocol === 'https:' ? requestHttps : requestHttp
  const headers = headersToSend(rest)
  // Text would go with the head in one string, and the head in its encoding.
  const bytes = body === undefined ? undefined : Buffer.from(body)
  // Node says nothing of a body where none is usual: it would be taken for the next request.
  if (bytes && !headers['transfer-encoding']) headers['content-length'] ??= String(bytes.length)
  const options = { method, headers, agent: false as const, signal, rejectUnauthorized: !acceptSelfSigned }
  return new Promise((resolve, reject) => {
    const asked = request(url, options, (response) => {
      const closed = new Promise<void>((resolve) => response.socket.once('close', () => resolve()))
      const leave = () => {
        asked.destroy()
        return closed
      }
      resolve({
        status: response.statusCode ?? 0,
        headers: headersOf(response.headersDistinct),
        body: response,
        close: leave,
      })
    })
    // Once there is a head, the body tells.
    asked.on('error', reject)
    asked.end(bytes)
  })
}

function headersToSend({
  headers,
  lastEventId,
}: Pick<RequestSettings, 'headers' | 'lastEventId'>): Record<string, string> {
  const sent = new Headers(headers)
  if (!sent.has('accept')) sent.set('Accept', 'text/event-stream')
  // [spec] As UTF-8, which a header of Node's takes byte by byte.
  if (lastEventId) sent.set('Last-Event-ID', Buffer.from(lastEventId).toString('latin1'))
  return Object.fromEntries(sent)
}
