import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { Frame } from '../../src/event/frame.ts'
import { LogEntry } from '../../src/stores/log-entry.ts'

const text = fc.string({ unit: fc.constantFrom('a', 'é', '🦆', '\ud800', ' ', '\r', '\n', '\r\n', '\0') })
const publications = fc.record(
  {
    channel: fc.constant('a'),
    data: text,
    event: fc.constantFrom('', 'price', 'é\ud800'),
    retry: fc.nat(),
    isText: fc.constant(true),
  },
  { requiredKeys: ['channel', 'data', 'isText'] },
)

describe('LogEntry', () => {
  it('knows its size on the wire without encoding', () => {
    fc.assert(
      fc.property(publications, (publication) => {
        const encode = vi.spyOn(Frame, 'of')
        const entry = new LogEntry('id-1', publication)
        expect(encode).not.toHaveBeenCalled()
        encode.mockRestore()
        expect(entry.size).toBe(entry.frame.size)
      }),
      { numRuns: 2_000 },
    )
  })

  it('counts its footprint without encoding, with two bytes for a character outside Latin-1', () => {
    const encode = vi.spyOn(Frame, 'of')
    const footprintOf = (data: string, more = {}) =>
      new LogEntry('1', { channel: 'a', data, ...more }).footprint
    const empty = footprintOf('')
    expect(footprintOf('x'.repeat(100)) - empty).toBe(200)
    // Of each character, the bytes in UTF-8 and those in memory.
    expect(footprintOf('é'.repeat(100)) - empty).toBe(300)
    expect(footprintOf('ж'.repeat(100)) - empty).toBe(400)
    expect(footprintOf(`${'x'.repeat(99)}ж`) - empty).toBe(99 + 2 + 200)
    expect(footprintOf('', { key: 'k'.repeat(100) }) - empty).toBe(300)
    expect(encode).not.toHaveBeenCalled()
    encode.mockRestore()
  })

  it('has a frame that retains no other memory', () => {
    const { chunk } = new LogEntry('1', { channel: 'a', data: 'x' }).frame
    expect(chunk.buffer.byteLength).toBe(chunk.length)
  })

  it('encodes and parses once', () => {
    const entry = new LogEntry('1', { channel: 'a', event: 'price', data: '{"n":1}', retry: 5, key: 'k' })
    expect(entry.event).toEqual({ id: '1', event: 'price', data: { n: 1 }, retry: 5, key: 'k' })
    expect(entry.event).toBe(entry.event)
    expect(entry.frame.payload.toString()).toBe('retry: 5\nid: 1\nevent: price\ndata: {"n":1}\n\n')
    expect(entry.frame).toBe(entry.frame)
  })

  it.each([
    ['the text of a string', { data: '{"n":1}', isText: true }, '{"n":1}'],
    ['parsed JSON', { data: '{"n":1}' }, { n: 1 }],
    ['text that is not JSON', { data: '<n>' }, '<n>'],
  ])('shows a filter %s', (_, publication, data) => {
    expect(new LogEntry('1', { channel: 'a', ...publication }).event).toEqual({ id: '1', data })
  })

  it('has a key that differs between channels, and defaults to the name of the event', () => {
    const keyOf = (channel: string, key?: string, event?: string) =>
      new LogEntry('1', { channel, key, event, data: '' }).frame.key
    const keys = [keyOf('a', 'bc'), keyOf('ab', 'c'), keyOf('a', 'b\nc'), keyOf('a', '', 'bc')]
    expect(new Set(keys).size).toBe(4)
    expect(keyOf('a', undefined, 'price')).toBe(keyOf('a', 'price'))
    expect(keyOf('a')).toBe(keyOf('a', undefined, 'message'))
  })
})
