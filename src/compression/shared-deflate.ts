import { Frame } from '../event/frame.ts'
import { type Flushable, turn } from '../scheduler/turn.ts'
import type { Context } from './context.ts'
import { loadZlib } from './zlib.ts'

/** Compressed bytes, and the context for the next bytes. */
export interface Segment {
  readonly frame: Frame
  readonly next: Context
}

/** The compressed forms of the same plain bytes. */
class Segments {
  readonly #segments = new Map<Context, Segment>()
  readonly #contexts = new Map<number, Context>()

  get(context: Context, bytes: Buffer): Segment {
    const known = this.#segments.get(context)
    if (known) return known
    const segment = { frame: deflate(bytes, context.dictionary), next: this.#unique(context.after(bytes)) }
    this.#segments.set(context, segment)
    return segment
  }

  // Returns the existing context with the same bytes, so that streams that began at different times share their
  // segments.
  #unique(context: Context): Context {
    const hash = loadZlib()?.crc32(context.dictionary) ?? 0
    const known = this.#contexts.get(hash)
    if (known?.equals(context)) return known
    this.#contexts.set(hash, context)
    return context
  }
}

// The maximum of writes of a turn whose segments are kept, because a turn may send thousands of frames.
const MAX_WRITES = 64

/**
 * Compresses with the context as its only state, so that a stream holds no native memory. Streams that send the same
 * bytes after the same context share the result until the end of the turn.
 */
class SharedDeflate implements Flushable {
  readonly #writes = new Map<Buffer, Segments>()

  /** Returns the bytes as blocks of DEFLATE that end at a whole byte. Throws errors of zlib. */
  compress(bytes: Buffer, context: Context): Segment {
    return (this.#writes.get(bytes) ?? this.#add(bytes)).get(context, bytes)
  }

  #add(bytes: Buffer): Segments {
    if (this.#writes.size === 0) turn.scheduleFlush(this)
    if (this.#writes.size >= MAX_WRITES) this.#writes.clear()
    const segments = new Segments()
    this.#writes.set(bytes, segments)
    return segments
  }

  /** @internal */
  _flush(): void {
    this.#writes.clear()
  }
}

export const sharedDeflate = new SharedDeflate()

// Compresses bytes with the plain bytes before them as the dictionary, so that they continue the same stream (RFC 1951
// 2).
function deflate(bytes: Buffer, dictionary: Buffer): Frame {
  const { deflateRawSync, constants } = loadZlib() as NonNullable<ReturnType<typeof loadZlib>>
  const options = {
    finishFlush: constants.Z_SYNC_FLUSH,
    windowBits: windowBitsFor(dictionary.length + bytes.length),
    memLevel: 5,
    chunkSize: Math.max(64, bytes.length >> 1),
  }
  return Frame.ofBytes(deflateRawSync(bytes, dictionary.length > 0 ? { ...options, dictionary } : options))
}

// Returns a window that covers the dictionary. zlib refers back to at most 262 bytes less than its window.
function windowBitsFor(size: number): number {
  return Math.min(15, Math.max(9, 32 - Math.clz32(size + 262)))
}
