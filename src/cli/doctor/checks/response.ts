import { excerpt, quote } from '../../printable.ts'
import { finding } from '../catalog.ts'
import type { Exchange } from '../exchange.ts'
import { textOf } from './body.ts'
import type { Check } from './check.ts'
import { isEventStream, listOf, mediaTypeOf } from './headers.ts'
import { isLongPoll, isNdjson } from './json-body.ts'

// Matches whole words only, for example not `blogin`.
const LOGIN = /(?<![a-z])(log[-_ ]?[io]n|sign[-_ ]?in|sso|oauth2?|authorize|saml2?|cas)(?![a-z])/i

export const status: Check = ({ exchanges: { main } }) => {
  if (main.status === undefined || main.status === 200 || isRedirect(main)) return []
  if (main.status === 204) {
    const message = 'The status is 204, so that a browser stops. There was no stream to examine.'
    return [finding('status', message, 'note')]
  }
  return [finding('status', `The status is ${main.status}.${hintOf(main.status)}`)]
}

function hintOf(status: number): string {
  if (status === 401 || status === 403)
    return ' Add the credentials that the endpoint requires with --header or --cookie.'
  if (status === 405) return ' If the endpoint requires the method POST, add --data.'
  return ''
}

export const redirect: Check = ({ url, exchanges: { main } }) => {
  if (!isRedirect(main) || isLoginPage(main)) return []
  const location = main.headers.get('location') ?? ''
  const target = URL.canParse(location, url.href) ? new URL(location, url).href : location
  return [finding('redirect', `The status is ${main.status}, to ${quote(target)}.`)]
}

export const loginPage: Check = ({ exchanges: { main } }) => {
  if (!isLoginPage(main)) return []
  const location = main.headers.get('location')
  const message = location
    ? `The status is ${main.status}, to ${quote(location)}, which looks like a login page.`
    : 'The response is an HTML page with a login form.'
  return [finding('login-page', message)]
}

export const contentType: Check = ({ exchanges: { main } }) => {
  const type = mediaTypeOf(main)
  if (main.status !== 200 || type === 'text/event-stream' || isLoginPage(main)) return []
  if (isNdjson(main) || isLongPoll(main)) {
    const message = `The type is ${quote(type)}, so that there was no event stream to examine.`
    return [finding('content-type', message, 'note')]
  }
  const message = type ? `The type is ${quote(type)}.` : 'The response has no header Content-Type.'
  return [finding('content-type', message)]
}

export const charset: Check = ({ exchanges: { main } }) => {
  const value = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(main.headers.get('content-type') ?? '')?.[1]
  if (!isEventStream(main) || value === undefined || /^utf-?8$/i.test(value)) return []
  return [finding('charset', `The charset is ${quote(value)}.`)]
}

export const contentLength: Check = ({ exchanges: { main } }) => {
  const length = main.headers.get('content-length')
  if (!isEventStream(main) || length === undefined) return []
  return [finding('content-length', `The response has Content-Length: ${excerpt(length)}.`)]
}

// Reports a connection that the server closes. Over HTTP/2, Node.js rejects such a header (`http2-failed`).
export const connectionHeader: Check = ({ exchanges: { main } }) => {
  const isClosed = listOf(main, 'connection').includes('close')
  const isRequested = main.requestHeaders.connection?.toLowerCase() === 'close'
  if (!isEventStream(main) || !isClosed || isRequested) return []
  return [finding('connection-header', 'The response has Connection: close.', closeLevelOf(main))]
}

// Warns unless there are chunks or a length, because the end of the connection ends the body (RFC 9112 6.3).
function closeLevelOf({ headers }: Exchange): 'warning' | 'note' {
  return headers.has('transfer-encoding') || headers.has('content-length') ? 'note' : 'warning'
}

function isRedirect({ status = 0 }: Exchange): boolean {
  return [301, 302, 303, 307, 308].includes(status)
}

function isLoginPage(exchange: Exchange): boolean {
  if (isRedirect(exchange)) return LOGIN.test(exchange.headers.get('location') ?? '')
  if (exchange.status !== 200 || mediaTypeOf(exchange) !== 'text/html') return false
  const page = textOf(exchange)
  return (
    /<input[^<>]+type\s*=\s*["']?password/i.test(page) || LOGIN.test(/<title>([^<]*)/i.exec(page)?.[1] ?? '')
  )
}
