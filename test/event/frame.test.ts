import { describe, expect, it } from 'vitest'
import { Frame } from '../../src/event/frame.ts'
import { eventStream } from '../../src/formats/event-stream.ts'
import { eventFrame } from '../../src/formats/format.ts'

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

  it('is detached from the allocation that Node.js shares between small buffers', () => {
    const frame = Frame.of('data: x\n\n', 1)
    const shared = frame.payload
    expect(frame.chunk.buffer.byteLength).toBeGreaterThan(frame.chunk.length)
    expect(frame.detach()).toBe(frame)
    expect(frame.chunk.toString()).toBe('9\r\ndata: x\n\n\r\n')
    expect(frame.chunk.buffer.byteLength).toBe(frame.chunk.length)
    expect(frame.payload.buffer).toBe(frame.chunk.buffer)
    expect(frame.payload).toEqual(shared)
  })

  it.each([9, 10_000])('is not copied by detach if its allocation of %i bytes is its own', (size) => {
    const frame = Frame.of('x'.repeat(size), 1).detach()
    const { chunk } = frame
    expect(frame.detach().chunk).toBe(chunk)
  })

  it('joins frames into one chunk', () => {
    const joined = Frame.join([Frame.of('data: é\n\n', 1), Frame.of(':\n', 0), Frame.of('data: b\n\n', 1)])
    expect(joined.chunk.toString()).toBe('15\r\ndata: é\n\n:\ndata: b\n\n\r\n')
    expect(joined).toMatchObject({ size: 21, events: 2 })
  })

  it('with a large payload is one chunk, whose payload is a view of it', () => {
    const frame = Frame.of('é'.repeat(100_000), 1)
    expect(frame.size).toBe(200_000)
    expect(frame.chunk.subarray(0, 7).toString()).toBe('30d40\r\n')
    expect(frame.payload.buffer).toBe(frame.chunk.buffer)
    expect(frame.payload.toString()).toMatch(/^é+$/)
  })

  it('replaces lone surrogates by U+FFFD (rule 9)', () => {
    expect(Frame.of('\ud800', 1).payload.toString()).toBe('\ufffd')
  })

  it('has the key of the event, or its name by default', () => {
    const key = (event: Parameters<typeof eventFrame>[0]) =>
      eventFrame(event, JSON.stringify, eventStream).key
    expect(key({ event: 'price', data: 1, key: 'BTC' })).toBe('BTC')
    expect(key({ event: 'price', data: 1 })).toBe('price')
    expect(key({ data: 1 })).toBe('message')
    expect(key({ id: '1' })).toBeUndefined()
  })
})
