import { CERTIFICATE_CODE, describeNetworkError } from '../../network-error.ts'
import type { Exchange } from '../exchange.ts'

// The codes of errors before the first byte of HTTP. They do not include a reset, because the server may reset a
// request.
const NO_CONNECTION =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|EADDRNOTAVAIL|EACCES|EPERM|EPROTO|EMFILE|ERR_SSL|ERR_TLS|HPE_)/

/**
 * Returns one line about an exchange that failed before there was an HTTP connection, so that it shows nothing about
 * the endpoint. Undefined for all others.
 */
export function connectionFailure(
  { status, error = '', errorCode = '' }: Exchange,
  url: URL,
): string | undefined {
  if (status !== undefined) return undefined
  if (!NO_CONNECTION.test(errorCode) && !CERTIFICATE_CODE.test(errorCode)) return undefined
  return describeNetworkError({ code: errorCode, message: error }, url)
}
