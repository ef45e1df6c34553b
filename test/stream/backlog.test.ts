import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Frame } from '../../src/event/frame.ts'
import { Backlog, OVERFLOW, type Overflow } from '../../src/stream/backlog.ts'
import { RingQueue } from '../../src/stream/frame-queue.ts'

const frame = (text: string, key?: string) => Frame.of(text, 1, key)
const conflated = (text: string) => Frame.of(text, 1, text[0], true)
const backlog = (overflow: Overflow, maxBufferedBytes: number, maxBufferedEvents = 1000) =>
  new Backlog({ overflow, maxBufferedBytes, maxBufferedEvents })
/** Takes a batch at time 0 and returns its text. */
const takeText = (backlog: Backlog) => backlog.take(0)?.payload.toString() ?? ''

describe('a backlog', () => {
  it.each<Overflow>(['close', 'drop-oldest', 'drop-newest', 'conflate'])(
    'accepts the frames that fit within its limits with overflow %s',
    (overflow) => {
      const full = backlog(overflow, 4)
      expect([full.offer(frame('aa'), true), full.offer(frame('bb'), true)]).toEqual([0, 0])
      expect(full).toMatchObject({ length: 2, bytes: 4 })
      expect(takeText(full)).toBe('aabb')
    },
  )

  it('reports an overflow for the first event over the byte limit with overflow close', () => {
    const full = backlog('close', 3)
    expect([full.offer(frame('aa'), true), full.offer(frame('bb'), true)]).toEqual([0, OVERFLOW])
    expect(takeText(full)).toBe('aa')
  })

  it('reports an overflow for the first event over the event limit', () => {
    const full = backlog('close', 1000, 2)
    expect([
      full.offer(frame('a'), true),
      full.offer(frame('b'), true),
      full.offer(frame('c'), true),
    ]).toEqual([0, 0, OVERFLOW])
  })

  it('drops an event that does not fit with overflow drop-newest', () => {
    const full = backlog('drop-newest', 3)
    expect([
      full.offer(frame('aa'), true),
      full.offer(frame('bb'), true),
      full.offer(frame('c'), true),
    ]).toEqual([0, 1, 0])
    expect(takeText(full)).toBe('aac')
  })

  it('drops as many of the oldest events as a new event needs with overflow drop-oldest', () => {
    const full = backlog('drop-oldest', 4)
    expect(['a', 'b', 'c', 'd', 'eee'].map((text) => full.offer(frame(text), true))).toEqual([0, 0, 0, 0, 3])
    expect(takeText(full)).toBe('deee')
  })

  it('drops only the event that is larger than the byte limit with overflow drop-oldest', () => {
    const full = backlog('drop-oldest', 4)
    expect([full.offer(frame('aa'), true), full.offer(frame('bbbbb'), true)]).toEqual([0, 1])
    expect(takeText(full)).toBe('aa')
  })

  it('drops all queued events for an event that is as large as the byte limit', () => {
    const full = backlog('drop-oldest', 4)
    expect(['aa', 'bb', 'cccc'].map((text) => full.offer(frame(text), true))).toEqual([0, 0, 2])
    expect(takeText(full)).toBe('cccc')
  })

  it('accepts an event that is larger than the byte limit if it is empty and the transport is not full', () => {
    const empty = backlog('close', 4)
    expect(empty.offer(frame('aaaaa'), true)).toBe(OVERFLOW)
    expect(empty.offer(frame('aaaaa'), false)).toBe(0)
    expect(empty.offer(frame('b'), false)).toBe(OVERFLOW)
    expect(takeText(empty)).toBe('aaaaa')
  })

  it.each<[Overflow, number]>([
    ['close', OVERFLOW],
    ['drop-newest', 1],
    ['drop-oldest', 1],
    ['conflate', OVERFLOW],
  ])('counts the rest of a large frame as queued with overflow %s', (overflow, overflowed) => {
    const beside = backlog(overflow, 4)
    beside.unwrittenBytes = 3
    expect(beside.fits(frame('a'))).toBe(true)
    expect(beside.offer(frame('bb'), true)).toBe(overflowed)
    expect(beside.offer(frame('a'), true)).toBe(0)
    expect(beside.offer(frame('bb'), true)).toBe(overflowed)
    expect(takeText(beside)).toBe('a')
  })

  it('drops queued events beside the rest of a large frame with overflow drop-oldest', () => {
    const beside = backlog('drop-oldest', 4)
    beside.unwrittenBytes = 2
    expect(['a', 'b', 'cc'].map((text) => beside.offer(frame(text), true))).toEqual([0, 0, 2])
    expect(takeText(beside)).toBe('cc')
  })

  it('replaces an event of a conflated channel beside the rest of a large frame', () => {
    const beside = backlog('close', 4)
    beside.unwrittenBytes = 2
    expect(['a1', 'a2'].map((text) => beside.offer(conflated(text), true))).toEqual([0, 0])
    expect(takeText(beside)).toBe('a2')
  })

  it('accepts no event over the byte limit beside the rest of a large frame', () => {
    const beside = backlog('close', 4)
    beside.unwrittenBytes = 1
    expect(beside.offer(frame('aaaaa'), false)).toBe(OVERFLOW)
  })

  it('conflates from the moment that it is full until it is empty', () => {
    const full = backlog('conflate', 8)
    expect(['a1', 'b1', 'a2', 'b2'].map((text) => full.offer(frame(text, text[0]), true))).toEqual([
      0, 0, 0, 0,
    ])
    expect(full.offer(frame('a3', 'a'), true)).toBe(3)
    expect(full.offer(frame('a4', 'a'), true)).toBe(1)
    expect(takeText(full)).toBe('b2a4')
    expect([full.offer(frame('a5', 'a'), true), full.offer(frame('a6', 'a'), true)]).toEqual([0, 0])
    expect(takeText(full)).toBe('a5a6')
  })

  it('reports no overflow when the newest event of each key just fits', () => {
    const full = backlog('conflate', 4)
    expect(['a1', 'a2', 'b1', 'b2'].map((text) => full.offer(frame(text, text[0]), true))).toEqual([
      0, 0, 1, 1,
    ])
    expect(takeText(full)).toBe('a2b2')
  })

  it('conflates events whose key is an empty string', () => {
    const full = backlog('conflate', 4)
    for (const text of ['a1', 'a2', 'a3']) full.offer(frame(text, ''), true)
    expect(takeText(full)).toBe('a3')
  })

  it('conflates the queued events once, not again for each new event', () => {
    const from = vi.spyOn(RingQueue.prototype, 'conflate')
    onTestFinished(() => from.mockRestore())
    const full = backlog('conflate', 4)
    for (const text of ['a1', 'a2', 'a3', 'b1', 'a4', 'b2']) full.offer(frame(text, text[0]), true)
    const waiting = backlog('close', 1000)
    for (const text of ['a1', 'a2', 'b1', 'a3']) waiting.offer(conflated(text), true)
    expect(from).toHaveBeenCalledTimes(2)
  })

  it('reports an overflow when the newest events of all keys exceed the byte limit', () => {
    const full = backlog('conflate', 4)
    expect(['a', 'b', 'c', 'd', 'e'].map((text) => full.offer(frame(text, text), true))).toEqual([
      0,
      0,
      0,
      0,
      OVERFLOW,
    ])
  })

  it('reports an overflow when there are more keys than the event limit', () => {
    const full = backlog('conflate', 1000, 2)
    expect(['a', 'b', 'c'].map((text) => full.offer(frame(text, text), true))).toEqual([0, 0, OVERFLOW])
  })

  it('never exceeds its limits with overflow close, drop-oldest or drop-newest', () => {
    for (const overflow of ['close', 'drop-oldest', 'drop-newest'] as const) {
      const full = backlog(overflow, 100, 7)
      for (let i = 0; i < 500; i++) full.offer(frame('x'.repeat(i % 40), String(i % 5)), true)
      expect(full.bytes).toBeLessThanOrEqual(100)
      expect(full.length).toBeLessThanOrEqual(7)
    }
  })
})

describe('a frame of a conflated channel', () => {
  const roomy = () => backlog('close', 1000)

  it('is queued after an older frame of its key while the transport is not full', () => {
    const waiting = roomy()
    for (const text of ['a1', 'b1', 'a2']) waiting.offer(conflated(text), false)
    expect(takeText(waiting)).toBe('a1b1a2')
  })

  it('replaces an older frame of its key while the transport is full, and no drop is counted', () => {
    const waiting = roomy()
    const dropped = ['a1', 'b1', 'a2'].map((text) => waiting.offer(conflated(text), true))
    expect(dropped).toEqual([0, 0, 0])
    expect(takeText(waiting)).toBe('b1a2')
  })

  it('replaces no frame of another channel with the same key', () => {
    const waiting = roomy()
    for (const each of [frame('a1', 'a'), conflated('a2'), frame('a3', 'a'), conflated('a4')])
      waiting.offer(each, true)
    expect(takeText(waiting)).toBe('a1a3a4')
  })

  it('fits into a full backlog when it replaces an older frame', () => {
    const waiting = backlog('close', 4, 2)
    expect(['a1', 'b1', 'a2', 'b2'].map((text) => waiting.offer(conflated(text), true))).toEqual([0, 0, 0, 0])
    expect(waiting.offer(conflated('c1'), true)).toBe(OVERFLOW)
    expect(takeText(waiting)).toBe('a2b2')
  })

  it('is queued after an older frame of its key again once the backlog was empty', () => {
    const waiting = roomy()
    for (const text of ['a1', 'a2']) waiting.offer(conflated(text), true)
    expect(takeText(waiting)).toBe('a2')
    for (const text of ['a3', 'a4']) waiting.offer(conflated(text), false)
    expect(takeText(waiting)).toBe('a3a4')
  })

  it('does not stop the conflation of all keys that overflow conflate has started', () => {
    const waiting = backlog('conflate', 6)
    for (const text of ['a1', 'a2', 'a3', 'a4']) waiting.offer(frame(text, 'a'), true)
    waiting.offer(conflated('b1'), true)
    waiting.offer(frame('a5', 'a'), true)
    expect(takeText(waiting)).toBe('b1a5')
  })

  it.each<Overflow>(['drop-oldest', 'drop-newest'])(
    'is accepted into a full backlog with overflow %s when it replaces no other',
    (overflow) => {
      const full = backlog(overflow, 1000, 2)
      full.offer(frame('1', '1'), true)
      full.offer(frame('2', '2'), true)

      expect(full.offer(conflated('c'), true)).not.toBe(OVERFLOW)
    },
  )

  it('conflates the queue at most twice when it alternates with frames of other channels', () => {
    const from = vi.spyOn(RingQueue.prototype, 'conflate')
    onTestFinished(() => from.mockRestore())
    const full = backlog('conflate', 1e9, 50)

    for (let i = 0; i < 50; i++) full.offer(frame('x', `k${i}`), true)
    for (let i = 0; i < 200; i++) full.offer(Frame.of('x', 1, `k${i % 50}`, i % 2 === 0), true)

    expect(from.mock.calls.length).toBeGreaterThan(0)
    expect(from.mock.calls.length).toBeLessThanOrEqual(2)
  })
})

describe('overflow conflate', () => {
  it('conflates frames of all channels when only some channels are conflated', () => {
    const waiting = backlog('conflate', 6)
    waiting.offer(conflated('b1'), true)
    waiting.offer(frame('a1', 'a'), true)
    waiting.offer(frame('a2', 'a'), true)
    expect(waiting.offer(frame('a3', 'a'), true)).toBe(2)
    expect(takeText(waiting)).toBe('b1a3')
  })
})

describe('a backlog with a rate limit', () => {
  const limited = (burst: number, maxBufferedEvents = 1000, excess: 'delay' | 'conflate' = 'conflate') =>
    new Backlog({
      overflow: 'close',
      maxBufferedBytes: 1000,
      maxBufferedEvents,
      rateLimit: { eventsPerSecond: 1, burst, excess },
    })
  const offer = (to: Backlog, ...texts: string[]) =>
    texts.map((text) => to.offer(frame(text, text[0]), false))

  it('conflates no events within the burst', () => {
    const waiting = limited(3)
    offer(waiting, 'a1', 'a2', 'a3')
    expect(takeText(waiting)).toBe('a1a2a3')
  })

  it('conflates the events over the rate, and events that are added later', () => {
    const waiting = limited(1)
    offer(waiting, 'a1', 'a2', 'a3', 'b1')
    expect(takeText(waiting)).toBe('a1')
    expect(waiting.length).toBe(3)
    expect(takeText(waiting)).toBe('')
    expect(waiting.length).toBe(2)
    offer(waiting, 'a4')
    expect(waiting.length).toBe(2)
    expect(waiting.take(1_000)?.payload.toString()).toBe('b1')
    expect(waiting.take(2_000)?.payload.toString()).toBe('a4')
  })

  it('accepts an event that replaces an older one when it is full, and no other event', () => {
    const waiting = limited(1, 2)
    offer(waiting, 'x')
    takeText(waiting)
    offer(waiting, 'a1')
    expect(takeText(waiting)).toBe('')
    expect(offer(waiting, 'b1', 'a2', 'b2', 'c1')).toEqual([0, 0, 0, OVERFLOW])
  })

  it('stops conflating once it was empty', () => {
    const waiting = limited(2)
    offer(waiting, 'x1', 'x2')
    takeText(waiting)
    offer(waiting, 'a1', 'a2')
    expect(takeText(waiting)).toBe('')
    expect(waiting.take(1_000)?.payload.toString()).toBe('a2')
    offer(waiting, 'a3', 'a4')
    expect(waiting.take(3_000)?.payload.toString()).toBe('a3a4')
  })

  it('keeps all events with excess delay', () => {
    const waiting = limited(1, 1000, 'delay')
    offer(waiting, 'a1', 'a2')
    takeText(waiting)
    expect(takeText(waiting)).toBe('')
    offer(waiting, 'a3')
    expect(waiting.length).toBe(2)
  })
})
