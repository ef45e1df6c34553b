import { CERTIFICATE_CODE, describeNetworkError } from '../../network-error.ts'
import type { Exchange } from '../exchange.ts'

// The codes of errors before the first byte of HTTP. A reset is not one of them, because the server may reset a request.
const NO_CONNECTION =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|EADDRNOTAVAIL|EACCES|EPERM|EPROTO|EMFILE|ERR_SSL|ERR_TLS|HPE_)/

/**
 * Returns one line about an exchange that says nothing about the endpoint, because there was no HTTP connection to it.
 * Undefined for all others.
 */
export function connectionFailure(
  { status, error = '', errorCode = '' }: Exchange,
  url: URL,
): string | undefined {
  if (status !== undefined) return undefined
  if (!NO_CONNECTION.test(errorCode) && !CERTIFICATE_CODE.test(errorCode)) return undefined
  return describeNetworkError({ code: errorCode, message: error }, url)
}
