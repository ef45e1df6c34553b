import type { ProbeName } from './evidence.ts'
import { ACCEPT_ENCODING } from './probe/decode.ts'
import type { ProbeRequest } from './probe/probe.ts'

/** The properties that all requests of an examination share. */
export interface Target {
  readonly url: URL
  /** Names are in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly data: string | undefined
  readonly origin: string | undefined
  readonly isInsecure: boolean
}

/** The ids of `main` for the requests that resume. Empty if there are none. */
export interface SeenIds {
  readonly first: string
  readonly newest: string
}

const USER_AGENT = 'spillway-doctor'

/** An id that no server has sent. */
const UNKNOWN_ID = 'spillway-doctor-unknown-id'

interface Change {
  readonly url?: URL
  /** Headers to add. Undefined removes one. */
  readonly headers?: Readonly<Record<string, string | undefined>>
}

/** Returns the request of a probe. */
export function requestOf(name: ProbeName, target: Target, ids?: SeenIds): ProbeRequest {
  const { url, isInsecure, data } = target
  if (name === 'preflight') return preflight(target)
  const change = changeOf(name, target, ids)
  const headers = { ...browserHeaders(target), ...target.headers, ...change.headers }
  if (name === 'head') return { url, method: 'HEAD', body: undefined, headers: defined(headers), isInsecure }
  return {
    url: change.url ?? url,
    method: data === undefined ? 'GET' : 'POST',
    body: data,
    headers: defined(headers),
    isInsecure,
  }
}

function defined(headers: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}

/** Returns the request headers of a browser's `EventSource`. */
function browserHeaders({ data }: Target): Record<string, string> {
  return {
    accept: 'text/event-stream',
    'accept-encoding': ACCEPT_ENCODING,
    'cache-control': 'no-cache',
    'user-agent': USER_AGENT,
    ...(data === undefined ? {} : { 'content-type': contentTypeOf(data) }),
  }
}

function contentTypeOf(data: string): string {
  return /^\s*[[{]/.test(data) ? 'application/json' : 'application/x-www-form-urlencoded'
}

function changeOf(name: ProbeName, { url, origin }: Target, ids: SeenIds | undefined): Change {
  switch (name) {
    case 'identity':
      return { headers: { 'accept-encoding': undefined } }
    case 'second':
      // Most programs do not send this header, and a cache may then respond with a stored response.
      return { headers: { 'cache-control': undefined } }
    case 'anyAccept':
      return { headers: { accept: '*/*' } }
    case 'llmAccept':
      return { headers: { accept: 'application/json' } }
    case 'crossOrigin':
      return { headers: { origin } }
    case 'resume':
      return { headers: { 'last-event-id': headerText(ids?.first) } }
    case 'resumeLast':
    case 'reconnect':
      return { headers: { 'last-event-id': headerText(ids?.newest) } }
    case 'unknownId':
      return { headers: { 'last-event-id': UNKNOWN_ID } }
    case 'ndjson':
      return { url: withFormat(url, 'ndjson'), headers: { accept: 'application/x-ndjson' } }
    case 'longPoll':
      return { url: withFormat(url, 'json'), headers: { accept: 'application/json' } }
    default:
      return {}
  }
}

// [spec] A preflight has no credentials, and names the headers that are not safelisted.
function preflight({ url, headers, data, origin, isInsecure }: Target): ProbeRequest {
  const names = new Set(['last-event-id', ...Object.keys(headers)])
  for (const name of ['cookie', 'accept', 'accept-language', 'content-language']) names.delete(name)
  return {
    url,
    method: 'OPTIONS',
    body: undefined,
    headers: defined({
      accept: '*/*',
      origin,
      'access-control-request-method': data === undefined ? 'GET' : 'POST',
      'access-control-request-headers': [...names].sort().join(','),
      'user-agent': headers['user-agent'] ?? USER_AGENT,
    }),
    isInsecure,
  }
}

// Returns an id as bytes of UTF-8, as browsers send it, because Node.js writes each character of a header as a byte.
function headerText(id: string | undefined): string | undefined {
  return !id ? undefined : Buffer.from(id, 'utf8').toString('latin1')
}

function withFormat(url: URL, format: string): URL {
  const changed = new URL(url)
  changed.searchParams.set('format', format)
  return changed
}
