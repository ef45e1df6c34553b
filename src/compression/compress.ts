import type { Transform } from 'node:stream'
import type { Transport } from '../transports/transport.ts'
import { CodecTransport } from './codec-transport.ts'
import { GzipTransport } from './gzip-transport.ts'
import { type Encoding, loadZlib } from './zlib.ts'

/** Returns a transport that begins with a preamble and compresses what it writes to another one. */
export function compress(output: Transport, encoding: Encoding | undefined, preamble: string): Transport {
  if (!encoding) return output
  if (encoding === 'gzip') return new GzipTransport(output, preamble)
  return new CodecTransport(output, encoding === 'br' ? brotli() : zstd(), preamble)
}

// Each write of an event costs one task of the thread pool, because the flag flushes without a write of its own. Output
// comes in pieces of 1 KiB, of which each stream keeps one.
const CHUNK_SIZE = 1024

function brotli(): Transform {
  const { createBrotliCompress, constants } = zlib()
  return createBrotliCompress({
    flush: constants.BROTLI_OPERATION_FLUSH,
    chunkSize: CHUNK_SIZE,
    params: {
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_QUALITY]: 5,
      // 380 kB of memory. With the next larger window it is 1.1 MB.
      [constants.BROTLI_PARAM_LGWIN]: 16,
      [constants.BROTLI_PARAM_LGBLOCK]: 16,
    },
  })
}

function zstd(): Transform {
  const { createZstdCompress, constants } = zlib()
  return (createZstdCompress as NonNullable<typeof createZstdCompress>)({
    flush: constants.ZSTD_e_flush,
    chunkSize: CHUNK_SIZE,
    params: {
      [constants.ZSTD_c_compressionLevel as number]: 1,
      [constants.ZSTD_c_windowLog as number]: 15,
      [constants.ZSTD_c_hashLog as number]: 12,
      [constants.ZSTD_c_chainLog as number]: 12,
    },
  })
}

function zlib() {
  return loadZlib() as NonNullable<ReturnType<typeof loadZlib>>
}
