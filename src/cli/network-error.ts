import { printable } from './printable.ts'

/** An error of `node:net`, `node:tls`, `node:http` or `node:http2`. */
interface NetworkError {
  readonly message: string
  readonly code?: string
  readonly hostname?: string
  /** The error of the connection, in errors of `fetch` and of the streams of HTTP/2. */
  readonly cause?: unknown
  /** One for each address that was tried. */
  readonly errors?: readonly unknown[]
}

type Describe = (url: URL, error: NetworkError) => string

const CERTIFICATE = 'Use --insecure to accept it.'

/** The codes of errors about a certificate. */
export const CERTIFICATE_CODE =
  /CERT|CRL_|UNABLE_TO_|INVALID_CA|PATH_LENGTH|INVALID_PURPOSE|HOSTNAME_MISMATCH/

const BY_CODE: Readonly<Record<string, Describe>> = {
  ECONNREFUSED: (url) => `${url.host} refused the connection. No server listens on this port.`,
  ENOTFOUND: (url) => `The host ${url.hostname} is unknown.`,
  EAI_AGAIN: (url) =>
    `The host ${url.hostname} could not be looked up, because the name server does not respond.`,
  ECONNRESET: closedEarly,
  EPIPE: closedEarly,
  UND_ERR_SOCKET: closedEarly,
  ETIMEDOUT: notAccepted,
  UND_ERR_CONNECT_TIMEOUT: notAccepted,
  EHOSTUNREACH: (url) => `The host ${url.hostname} cannot be reached from this machine.`,
  ENETUNREACH: (url) => `The network of ${url.hostname} cannot be reached from this machine.`,
  EADDRNOTAVAIL: (url) => `This machine has no free port for another connection to ${url.host}.`,
  EMFILE: () => 'This process may not open more connections. Raise the limit of open files with ulimit -n.',
  CERT_HAS_EXPIRED: (url) => `The certificate of ${url.host} has expired. ${CERTIFICATE}`,
  CERT_NOT_YET_VALID: (url) => `The certificate of ${url.host} is not valid yet. ${CERTIFICATE}`,
  DEPTH_ZERO_SELF_SIGNED_CERT: (url) => `The certificate of ${url.host} is self-signed. ${CERTIFICATE}`,
  SELF_SIGNED_CERT_IN_CHAIN: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownAuthority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownAuthority,
  ERR_TLS_CERT_ALTNAME_INVALID: (url) => `The certificate of ${url.host} is for another host. ${CERTIFICATE}`,
  EPROTO: tlsFailure,
  HPE_HEADER_OVERFLOW: (url) => `The response headers of ${url.host} are too long.`,
  ERR_HTTP2_ERROR: (url) => `${url.host} does not respond in HTTP/2.`,
}

/** Describes an error of a request in one line, for example `127.0.0.1:1 refused the connection.` */
export function describeNetworkError(error: unknown, url: URL): string {
  const failure = innermost(error)
  const { code, message } = failure
  const describe = code !== undefined && Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : undefined
  if (describe) return printable(describe(url, failure))
  if (code !== undefined && CERTIFICATE_CODE.test(code))
    return printable(
      `The certificate of ${url.host} is not valid: ${message.replace(/\.$/, '')}. ${CERTIFICATE}`,
    )
  if (code?.startsWith('ERR_SSL_')) return printable(tlsFailure(url, failure))
  if (code?.startsWith('HPE_')) return printable(`${url.host} does not respond in HTTP.${otherProtocol(url)}`)
  return printable(`The request to ${url.host} failed: ${message || code || 'unknown error'}`)
}

/** Returns the error of the connection, which is the innermost cause, or the error of the first address. */
function innermost(error: unknown): NetworkError {
  if (typeof error !== 'object' || error === null) return { message: String(error) }
  const { code, cause, errors, message } = error as NetworkError
  if (cause !== undefined && cause !== null) return innermost(cause)
  if (code === undefined && errors?.[0] !== undefined) return innermost(errors[0])
  return { message: message ?? '', ...(code === undefined ? {} : { code: String(code) }) }
}

function closedEarly(url: URL): string {
  return `${url.host} closed the connection before it responded.${otherProtocol(url)}`
}

function notAccepted(url: URL): string {
  return `${url.host} did not accept the connection in time.`
}

function tlsFailure(url: URL, { code, message }: NetworkError): string {
  // RFC 8446 4.1.2: the response of a server without TLS is not a TLS record.
  if (/wrong.version.number|packet.length.too.long|http.request/i.test(`${code} ${message}`))
    return `${url.host} does not use TLS. Try http:// instead of https://.`
  // For example `write EPROTO 80DC:error:0A00042E:SSL routines:ssl3_read_bytes:tlsv1 alert protocol version:a.c:1:`.
  const [, reason] = /error:\w+:[^:]*:[^:]*:([^:]+):/.exec(message) ?? []
  return `The TLS handshake with ${url.host} failed: ${reason ?? (message.split('\n')[0] || 'unknown error')}.`
}

function unknownAuthority(url: URL): string {
  return `The certificate of ${url.host} is from an authority that this machine does not trust. ${CERTIFICATE}`
}

function otherProtocol(url: URL): string {
  return url.protocol === 'http:' ? ' If the server uses TLS, the URL begins with https://.' : ''
}
