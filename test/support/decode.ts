import { pipeline, type Readable } from 'node:stream'
import * as zlib from 'node:zlib'

// Since Node 22.15.
const { createZstdDecompress } = zlib as { createZstdDecompress?: () => zlib.Gunzip }

/** The encodings that this version of Node.js can decode. */
export const ENCODINGS = ['gzip', 'br', ...(createZstdDecompress ? ['zstd'] : [])]

/** Returns the content of a body. A body that is cut, or has no valid end, makes it fail. */
export function decode(body: Readable, encoding: string): Readable {
  const decoder = decoderFor(encoding)
  return decoder ? pipeline(body, decoder, () => {}) : body
}

function decoderFor(encoding: string) {
  if (encoding === 'gzip') return zlib.createGunzip()
  if (encoding === 'br') return zlib.createBrotliDecompress()
  return encoding === 'zstd' ? createZstdDecompress?.() : undefined
}
