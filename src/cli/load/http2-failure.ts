import { CLOSED, type Failure, INCOMPLETE } from './transport.ts'

// RFC 9113 7, in the order of their numbers.
const CODES = [
  ...[
    'NO_ERROR',
    'PROTOCOL_ERROR',
    'INTERNAL_ERROR',
    'FLOW_CONTROL_ERROR',
    'SETTINGS_TIMEOUT',
    'STREAM_CLOSED',
  ],
  ...[
    'FRAME_SIZE_ERROR',
    'REFUSED_STREAM',
    'CANCEL',
    'COMPRESSION_ERROR',
    'CONNECT_ERROR',
    'ENHANCE_YOUR_CALM',
  ],
  ...['INADEQUATE_SECURITY', 'HTTP_1_1_REQUIRED'],
]

export const NO_ERROR = CODES.indexOf('NO_ERROR')
export const REFUSED_STREAM = CODES.indexOf('REFUSED_STREAM')
export const CANCEL = CODES.indexOf('CANCEL')

/** How a stream of HTTP/2 ended. */
export interface StreamEnd {
  /** The error code of the stream. Node.js sets that of the session if the session ended first. */
  readonly code: number
  readonly error: NodeJS.ErrnoException | undefined
  readonly hasResponse: boolean
  readonly isSessionDestroyed: boolean
}

/** Returns the failure of a stream that has not ended properly, such as `RST_STREAM INTERNAL_ERROR`. */
export function failureOf({ code, error, hasResponse, isSessionDestroyed }: StreamEnd): Failure {
  if (error?.code === 'ERR_HTTP2_SESSION_ERROR') return named('GOAWAY', code)
  if (!isSessionDestroyed) return named('RST_STREAM', code)
  // The server has sent bytes that are not HTTP/2.
  if (error?.code?.startsWith('ERR_')) return error
  // The same failure as over HTTP/1.1, which cannot distinguish further.
  if (hasResponse) return INCOMPLETE
  return error ?? CLOSED
}

function named(frame: string, code: number): Failure {
  const name = `${frame} ${CODES[code] ?? code}`
  return { message: name, code: name }
}
