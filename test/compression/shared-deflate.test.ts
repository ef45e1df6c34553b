import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Context } from '../../src/compression/context.ts'
import { GzipTransport } from '../../src/compression/gzip-transport.ts'
import { sharedDeflate } from '../../src/compression/shared-deflate.ts'
import { Frame } from '../../src/event/frame.ts'
import { FakeTransport } from '../support/fake-transport.ts'
import { nextTurn } from '../support/streams.ts'

const owner = { _drained() {}, _closed() {} }

/** A stream of gzip that collects its bytes. */
class Gzip {
  readonly chunks: Buffer[] = []
  readonly #transport: GzipTransport

  constructor(preamble = ':\n') {
    const output = new FakeTransport()
    output.write = (bytes) => this.chunks.push(Buffer.from(bytes)) > 0
    this.#transport = new GzipTransport(output, preamble)
    this.#transport.open(owner)
  }

  write(frame: Frame): number {
    this.#transport.write(frame.payload)
    return this.chunks.at(-1)?.length ?? 0
  }

  end(): string {
    this.#transport.end()
    return gunzipSync(Buffer.concat(this.chunks)).toString()
  }
}

const event = (id: number, size = 200) =>
  Frame.of(`id: ${id}\ndata: ${JSON.stringify({ id, text: 'word '.repeat(size / 5) })}\n\n`, 1)

function contextAfter(...frames: Frame[]): Context {
  return frames.reduce((context, { payload }) => sharedDeflate.compress(payload, context).next, Context.EMPTY)
}

describe('a stream of gzip', () => {
  it('contains the writes of its own stream, whatever streams share', async () => {
    const size = fc.constantFrom(1, 30, 300, 3_000, 20_000, 70_000)
    const write = fc.record({ stream: fc.nat(2), isShared: fc.boolean(), size, isTurnOver: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(fc.array(write, { maxLength: 60 }), async (writes) => {
        const streams = [0, 1, 2].map((n) => ({ gzip: new Gzip(`:${n}\n`), sent: `:${n}\n` }))
        for (const [i, { stream, isShared, size, isTurnOver }] of writes.entries()) {
          const frame = event(i % 7, size)
          for (const each of isShared ? streams : [streams[stream as 0]]) {
            each?.gzip.write(frame)
            if (each) each.sent += frame.payload.toString()
          }
          if (isTurnOver) await nextTurn()
        }
        for (const { gzip, sent } of streams) expect(gzip.end()).toBe(sent)
      }),
      { numRuns: 60 },
    )
  })

  it('begins with the header of gzip without a preamble, and is valid without a write', () => {
    const gzip = new Gzip('')
    expect(gzip.chunks.map((chunk) => chunk.length)).toEqual([10])
    expect(gzip.end()).toBe('')
  })

  it('makes events smaller that repeat what an earlier write contains', () => {
    const gzip = new Gzip()
    const frames = Array.from({ length: 20 }, (_, id) => event(id))
    const sizes = frames.map((frame) => gzip.write(frame))
    expect(sizes.at(-1)).toBeLessThan(gzipSync(event(1).payload).length / 2)
  })

  it('makes a large event smaller that repeats the large one before, although heartbeats are between them', () => {
    const gzip = new Gzip()
    const random = Array.from({ length: 2_000 }, (_, i) => (i * 7919) % 9973).join(' ')
    const first = gzip.write(Frame.of(random, 1))
    for (let i = 0; i < 4; i++) gzip.write(Frame.of(':\n', 0))
    expect(gzip.write(Frame.of(random, 1))).toBeLessThan(first / 10)
  })

  it('compresses bytes once for all streams that sent the same before', async () => {
    const streams = [new Gzip(':1\n'), new Gzip(':2\n')]
    for (let id = 0; id < 5; id++) {
      const frame = event(id)
      const context = sharedDeflate.compress(frame.payload, Context.EMPTY)
      expect(sharedDeflate.compress(frame.payload, Context.EMPTY)).toBe(context)
      for (const stream of streams) stream.write(frame)
      expect(streams[0]?.chunks.at(-1)).toEqual(streams[1]?.chunks.at(-1))
      await nextTurn()
    }
  })

  it('shares the context of streams that began at different times once they have sent 2 KiB of the same', async () => {
    const early = event(0)
    const frames = Array.from({ length: 12 }, (_, id) => event(id + 1))
    let contexts = [contextAfter(early), Context.EMPTY]
    for (const { payload } of frames) {
      contexts = contexts.map((context) => sharedDeflate.compress(payload, context).next)
      await nextTurn()
    }
    expect(contexts[0]).toBe(contexts[1])
  })

  it('keeps at most the last 32 KiB, and 2 KiB after small events', () => {
    const large = contextAfter(event(1, 100_000))
    expect(large.dictionary.length).toBeLessThanOrEqual(32 * 1024)
    const small = contextAfter(event(1, 100_000), ...Array.from({ length: 200 }, (_, id) => event(id, 50)))
    expect(small.dictionary.length).toBe(2048)
    // A buffer of the pool of Node.js would retain 8 KiB.
    expect(small.dictionary.buffer.byteLength).toBe(4096)
  })

  it('does not alter a context when streams go on from it with different bytes', () => {
    const context = contextAfter(event(1), event(2))
    const before = Buffer.from(context.dictionary)
    const next = [event(3), event(4)].map(({ payload }) => sharedDeflate.compress(payload, context).next)
    expect(context.dictionary).toEqual(before)
    expect(
      next.map(({ dictionary }) => JSON.parse(dictionary.toString().split('data: ').at(-1) ?? '').id),
    ).toEqual([3, 4])
  })
})
