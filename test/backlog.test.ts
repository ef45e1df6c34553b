import { describe, expect, it } from 'vitest'
import { Backlog, OVERFLOW, type Overflow } from '../src/backlog.ts'
import { Frame } from '../src/frame.ts'

const frame = (text: string, key?: string) => Frame.of(text, 1, key)
const backlog = (overflow: Overflow, maxBufferedBytes: number, maxBufferedEvents = 1000) =>
  new Backlog({ overflow, maxBufferedBytes, maxBufferedEvents })
const rest = (from: Backlog) => from.take(0)?.payload.toString() ?? ''

describe('Backlog', () => {
  it.each<Overflow>(['close', 'drop-oldest', 'drop-newest', 'conflate'])(
    'takes what fits with %s',
    (overflow) => {
      const full = backlog(overflow, 4)
      expect([full.offer(frame('aa'), true), full.offer(frame('bb'), true)]).toEqual([0, 0])
      expect(full).toMatchObject({ length: 2, bytes: 4 })
      expect(rest(full)).toBe('aabb')
    },
  )

  it('refuses the event over the bound with close', () => {
    const full = backlog('close', 3)
    expect([full.offer(frame('aa'), true), full.offer(frame('bb'), true)]).toEqual([0, OVERFLOW])
    expect(rest(full)).toBe('aa')
  })

  it('counts events too', () => {
    const full = backlog('close', 1000, 2)
    expect([
      full.offer(frame('a'), true),
      full.offer(frame('b'), true),
      full.offer(frame('c'), true),
    ]).toEqual([0, 0, OVERFLOW])
  })

  it('drops the newest', () => {
    const full = backlog('drop-newest', 3)
    expect([
      full.offer(frame('aa'), true),
      full.offer(frame('bb'), true),
      full.offer(frame('c'), true),
    ]).toEqual([0, 1, 0])
    expect(rest(full)).toBe('aac')
  })

  it('drops as many of the oldest as it takes', () => {
    const full = backlog('drop-oldest', 4)
    expect(['a', 'b', 'c', 'd', 'eee'].map((text) => full.offer(frame(text), true))).toEqual([0, 0, 0, 0, 3])
    expect(rest(full)).toBe('deee')
  })

  it('drops an event that is larger than the bound, not everything else', () => {
    const full = backlog('drop-oldest', 4)
    expect([full.offer(frame('aa'), true), full.offer(frame('bbbbb'), true)]).toEqual([0, 1])
    expect(rest(full)).toBe('aa')
  })

  it('conflates at the bound, and until it is empty', () => {
    const full = backlog('conflate', 8)
    expect(['a1', 'b1', 'a2', 'b2'].map((text) => full.offer(frame(text, text[0]), true))).toEqual([
      0, 0, 0, 0,
    ])
    expect(full.offer(frame('a3', 'a'), true)).toBe(3)
    expect(full.offer(frame('a4', 'a'), true)).toBe(1)
    expect(rest(full)).toBe('b2a4')
    expect([full.offer(frame('a5', 'a'), true), full.offer(frame('a6', 'a'), true)]).toEqual([0, 0])
    expect(rest(full)).toBe('a5a6')
  })

  it('gives up when even the newest of each key are too many', () => {
    const full = backlog('conflate', 4)
    expect(['a', 'b', 'c', 'd', 'e'].map((text) => full.offer(frame(text, text), true))).toEqual([
      0,
      0,
      0,
      0,
      OVERFLOW,
    ])
  })

  it('gives up when there are more keys than events may wait', () => {
    const full = backlog('conflate', 1000, 2)
    expect(['a', 'b', 'c'].map((text) => full.offer(frame(text, text), true))).toEqual([0, 0, OVERFLOW])
  })

  it('never holds more than its bound, whatever the policy', () => {
    for (const overflow of ['close', 'drop-oldest', 'drop-newest'] as const) {
      const full = backlog(overflow, 100, 7)
      for (let i = 0; i < 500; i++) full.offer(frame('x'.repeat(i % 40), String(i % 5)), true)
      expect(full.bytes).toBeLessThanOrEqual(100)
      expect(full.length).toBeLessThanOrEqual(7)
    }
  })
})
