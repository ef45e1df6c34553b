import type zlib from 'node:zlib'
import { builtinModule } from '../runtime.ts'

/** A content coding of HTTP (RFC 9110 8.4.1). */
export type Encoding = 'gzip' | 'zstd' | 'br'

type Zlib = Omit<typeof zlib, 'constants'> & {
  readonly constants: typeof zlib.constants & Readonly<Record<string, number>>
  /** Since Node 22.15. */
  readonly createZstdCompress?: (options: object) => zlib.BrotliCompress
}

let loaded: Zlib | undefined

/** Returns `node:zlib`, or undefined on a runtime without it. */
export function loadZlib(): Zlib | undefined {
  loaded ??= builtinModule('node:zlib')
  return loaded
}

let supported: readonly Encoding[] | undefined

/**
 * Returns the encodings that this runtime supports, the cheapest first. For a stream, gzip needs the least memory, and
 * zstd a fifth of that of brotli.
 */
export function supportedEncodings(): readonly Encoding[] {
  supported ??= findEncodings()
  return supported
}

function findEncodings(): readonly Encoding[] {
  const { crc32, createBrotliCompress, createZstdCompress } = loadZlib() ?? {}
  const found: Array<Encoding | undefined> = [
    crc32 && 'gzip',
    createZstdCompress && 'zstd',
    createBrotliCompress && 'br',
  ]
  return found.filter((each) => each !== undefined)
}
