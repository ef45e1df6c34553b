import { describe, expect, it } from 'vitest'
import { Frame } from '../../src/event/frame.ts'
import { eventFrame } from '../../src/formats/event-stream.ts'

describe('Frame', () => {
  it('contains the payload in HTTP/1.1 chunk framing', () => {
    expect(Frame.of('data: 0123456789\n\n', 1).chunk.toString()).toBe('12\r\ndata: 0123456789\n\n\r\n')
  })

  it('measures its size in bytes, not characters', () => {
    const frame = Frame.of('data: é🦆\n\n', 1)
    expect(frame.size).toBe(14)
    expect(frame.chunk.toString()).toBe('e\r\ndata: é🦆\n\n\r\n')
  })

  it('stores chunk and payload in one allocation', () => {
    const frame = Frame.of('data: x\n\n', 1)
    expect(frame.payload.toString()).toBe('data: x\n\n')
    expect(frame.payload.buffer).toBe(frame.chunk.buffer)
    expect(frame.payload.byteOffset).toBe(frame.chunk.byteOffset + 3)
    expect(frame.payload).toBe(frame.payload)
  })

  it('joins frames into one chunk', () => {
    const joined = Frame.join([Frame.of('data: é\n\n', 1), Frame.of(':\n', 0), Frame.of('data: b\n\n', 1)])
    expect(joined.chunk.toString()).toBe('15\r\ndata: é\n\n:\ndata: b\n\n\r\n')
    expect(joined).toMatchObject({ size: 21, events: 2 })
  })

  const SLICE = 64 * 1024

  it.each([SLICE - 9, SLICE - 8, SLICE - 7, SLICE, 2 * SLICE - 16, 2 * SLICE - 15, 200_000])(
    'with a payload of %i bytes is chunks that end where its slices end (RFC 9112 7.1)',
    (size) => {
      const frame = Frame.of('é'.repeat(size / 2).padEnd(size - Math.floor(size / 2), 'x'), 1)
      expect(frame.size).toBe(size)
      const parts: Buffer[] = []
      for (let at = 0; at < frame.chunk.length; at += SLICE) {
        const slice = frame.chunk.subarray(at, at + SLICE)
        const [line = '', hex = ''] = /^([0-9a-f]+)\r\n/.exec(slice.toString('latin1')) ?? []
        const end = line.length + Number.parseInt(hex, 16)
        expect(slice.subarray(end).toString()).toBe('\r\n')
        parts.push(slice.subarray(line.length, end))
      }
      expect(Buffer.concat(parts).equals(frame.payload)).toBe(true)
      expect(frame.payload.toString()).toMatch(/^é+x?$/)
      expect(frame.payload).toBe(frame.payload)
    },
  )

  it('replaces lone surrogates by U+FFFD (rule 9)', () => {
    expect(Frame.of('\ud800', 1).payload.toString()).toBe('\ufffd')
  })

  it('has the key of the event, or its name by default', () => {
    const key = (event: Parameters<typeof eventFrame>[0]) => eventFrame(event, JSON.stringify).key
    expect(key({ event: 'price', data: 1, key: 'BTC' })).toBe('BTC')
    expect(key({ event: 'price', data: 1 })).toBe('price')
    expect(key({ data: 1 })).toBe('message')
    expect(key({ id: '1' })).toBeUndefined()
  })
})
