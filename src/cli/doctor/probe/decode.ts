import type { Transform } from 'node:stream'
import zlib from 'node:zlib'

// Outputs the decoded bytes after each write, as browsers do.
const AT_ONCE = { flush: zlib.constants.Z_SYNC_FLUSH, finishFlush: zlib.constants.Z_SYNC_FLUSH }

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: () => zlib.createGunzip(AT_ONCE),
  'x-gzip': () => zlib.createGunzip(AT_ONCE),
  deflate: () => zlib.createInflate(AT_ONCE),
  br: () =>
    zlib.createBrotliDecompress({
      flush: zlib.constants.BROTLI_OPERATION_FLUSH,
      finishFlush: zlib.constants.BROTLI_OPERATION_FLUSH,
    }),
}

/** The content encodings that can be decoded, as a header `Accept-Encoding`. */
export const ACCEPT_ENCODING = 'gzip, deflate, br'

/** Returns a stream that removes a content encoding. Undefined if there is none, or an unknown one. */
export function decoderOf(contentEncoding: string | undefined): Transform | undefined {
  const name = contentEncoding?.trim().toLowerCase() ?? ''
  return Object.hasOwn(DECODERS, name) ? DECODERS[name]?.() : undefined
}
