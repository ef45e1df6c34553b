import { excerpt } from '../../printable.ts'
import { finding } from '../catalog.ts'
import type { Check } from './check.ts'
import { isEventStream, isLimited, mediaTypeOf } from './headers.ts'

export const http2Failed: Check = ({ exchanges: { main, http2 } }) => {
  if (!isEventStream(main) || http2 === undefined || isEventStream(http2) || isLimited(http2)) return []
  if (http2.status !== undefined) {
    const found =
      http2.status === 200 ? `type is ${mediaTypeOf(http2) || 'missing'}` : `status is ${http2.status}`
    return [finding('http2-failed', `The ${found} over HTTP/2, unlike over HTTP/1.1.`)]
  }
  // A response that has not arrived yet may be slow.
  if (http2.error === undefined) return []
  const reason = excerpt(http2.error)
  // RFC 9113 8.1.1: a malformed response is an error of this type.
  const cause = reason.includes('PROTOCOL_ERROR') ? ', which a header such as Connection causes' : ''
  return [finding('http2-failed', `The request over HTTP/2 failed: ${reason}${cause}.`)]
}

export const browserConnections: Check = ({ url, exchanges: { main, http2 } }) => {
  if (!isEventStream(main) || main.protocol === 'HTTP/2' || http2 !== undefined) return []
  const reason = url.protocol === 'https:' ? 'TLS does not negotiate h2' : 'browsers use HTTP/2 only with TLS'
  return [finding('browser-connections', `The stream is served over HTTP/1.1 only, because ${reason}.`)]
}
