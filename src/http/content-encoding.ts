import { type Encoding, supportedEncodings } from '../compression/zlib.ts'
import type { NodeResponse } from '../transports/node-response.ts'
import { chooseEncoding } from './accept-encoding.ts'
import { hasHeader } from './has-header.ts'
import type { Settings } from './options.ts'

/** The options that affect the encoding of a body. */
export type EncodingSettings = Pick<Settings, 'headers'> & Partial<Pick<Settings, 'compress' | 'poll'>>

/** Returns the encoding of a body. Undefined if it is not compressed, or if the application compresses it. */
export function contentEncoding(response: NodeResponse, settings: EncodingSettings): Encoding | undefined {
  if (isPlain(settings) || response.hasHeader(NAME)) return undefined
  return chooseEncoding(response.req.headers['accept-encoding'], supportedEncodings())
}

/** Returns the same for the response to a web `Request`. */
export function webContentEncoding(request: Request, settings: EncodingSettings): Encoding | undefined {
  if (isPlain(settings) || isOfNext(request)) return undefined
  return chooseEncoding(request.headers.get('accept-encoding'), supportedEncodings())
}

const NAME = 'content-encoding'

// True if the stream itself is not compressed. A long poll is compressed as a whole.
function isPlain({ compress, headers, poll }: EncodingSettings): boolean {
  return !compress || poll !== undefined || hasHeader(headers, NAME)
}

/** Whether Next responds. It removes `Content-Encoding`, so a client would not decompress the body. */
export function isOfNext(request: Request): boolean {
  return 'nextUrl' in request
}
