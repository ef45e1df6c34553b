import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Frame } from '../../src/event/frame.ts'
import { Backlog, OVERFLOW, type Overflow } from '../../src/stream/backlog.ts'
import { RingQueue } from '../../src/stream/frame-queue.ts'

const frame = (text: string, key?: string) => Frame.of(text, 1, key)
const conflated = (text: string) => Frame.of(text, 1, text[0], true)
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

  it('drops all others for an event that is as large as the bound', () => {
    const full = backlog('drop-oldest', 4)
    expect(['aa', 'bb', 'cccc'].map((text) => full.offer(frame(text), true))).toEqual([0, 0, 2])
    expect(rest(full)).toBe('cccc')
  })

  it('takes an event that is larger than the bound alone, while the kernel has room', () => {
    const empty = backlog('close', 4)
    expect(empty.offer(frame('aaaaa'), true)).toBe(OVERFLOW)
    expect(empty.offer(frame('aaaaa'), false)).toBe(0)
    expect(empty.offer(frame('b'), false)).toBe(OVERFLOW)
    expect(rest(empty)).toBe('aaaaa')
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

  it('goes on when the newest of each key are just as many as may wait', () => {
    const full = backlog('conflate', 4)
    expect(['a1', 'a2', 'b1', 'b2'].map((text) => full.offer(frame(text, text[0]), true))).toEqual([
      0, 0, 1, 1,
    ])
    expect(rest(full)).toBe('a2b2')
  })

  it('takes an empty key for a key', () => {
    const full = backlog('conflate', 4)
    for (const text of ['a1', 'a2', 'a3']) full.offer(frame(text, ''), true)
    expect(rest(full)).toBe('a3')
  })

  it('conflates what waits once, not again for each event', () => {
    const from = vi.spyOn(RingQueue.prototype, 'conflate')
    onTestFinished(() => from.mockRestore())
    const full = backlog('conflate', 4)
    for (const text of ['a1', 'a2', 'a3', 'b1', 'a4', 'b2']) full.offer(frame(text, text[0]), true)
    const waiting = backlog('close', 1000)
    for (const text of ['a1', 'a2', 'b1', 'a3']) waiting.offer(conflated(text), true)
    expect(from).toHaveBeenCalledTimes(2)
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

describe('a frame of a channel that conflates', () => {
  const roomy = () => backlog('close', 1000)

  it('waits beside an older one of its key while the kernel has room', () => {
    const waiting = roomy()
    for (const text of ['a1', 'b1', 'a2']) waiting.offer(conflated(text), false)
    expect(rest(waiting)).toBe('a1b1a2')
  })

  it('takes the place of an older one of its key while the kernel is full, and is no loss', () => {
    const waiting = roomy()
    const dropped = ['a1', 'b1', 'a2'].map((text) => waiting.offer(conflated(text), true))
    expect(dropped).toEqual([0, 0, 0])
    expect(rest(waiting)).toBe('b1a2')
  })

  it('leaves those of other channels whole, whatever their key', () => {
    const waiting = roomy()
    for (const each of [frame('a1', 'a'), conflated('a2'), frame('a3', 'a'), conflated('a4')])
      waiting.offer(each, true)
    expect(rest(waiting)).toBe('a1a3a4')
  })

  it('needs no room beside the older one that it replaces', () => {
    const waiting = backlog('close', 4, 2)
    expect(['a1', 'b1', 'a2', 'b2'].map((text) => waiting.offer(conflated(text), true))).toEqual([0, 0, 0, 0])
    expect(waiting.offer(conflated('c1'), true)).toBe(OVERFLOW)
    expect(rest(waiting)).toBe('a2b2')
  })

  it('waits beside others again once all that waited has left', () => {
    const waiting = roomy()
    for (const text of ['a1', 'a2']) waiting.offer(conflated(text), true)
    expect(rest(waiting)).toBe('a2')
    for (const text of ['a3', 'a4']) waiting.offer(conflated(text), false)
    expect(rest(waiting)).toBe('a3a4')
  })

  it('does not end what the policy of its stream has begun: the newest of any key', () => {
    const waiting = backlog('conflate', 6)
    for (const text of ['a1', 'a2', 'a3', 'a4']) waiting.offer(frame(text, 'a'), true)
    waiting.offer(conflated('b1'), true)
    waiting.offer(frame('a5', 'a'), true)
    expect(rest(waiting)).toBe('b1a5')
  })

  it.each<Overflow>(['drop-oldest', 'drop-newest'])(
    'is accepted at the bound with %s when it replaces no other',
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

describe('a policy that conflates', () => {
  it('conflates by any key also what waits in channels of which some conflate', () => {
    const waiting = backlog('conflate', 6)
    waiting.offer(conflated('b1'), true)
    waiting.offer(frame('a1', 'a'), true)
    waiting.offer(frame('a2', 'a'), true)
    expect(waiting.offer(frame('a3', 'a'), true)).toBe(2)
    expect(rest(waiting)).toBe('b1a3')
  })
})

describe('a rate limit that conflates', () => {
  const paced = (burst: number, maxBufferedEvents = 1000, excess: 'delay' | 'conflate' = 'conflate') =>
    new Backlog({
      overflow: 'close',
      maxBufferedBytes: 1000,
      maxBufferedEvents,
      rateLimit: { eventsPerSecond: 1, burst, excess },
    })
  const offer = (to: Backlog, ...texts: string[]) =>
    texts.map((text) => to.offer(frame(text, text[0]), false))

  it('conflates nothing that may leave at once', () => {
    const waiting = paced(3)
    offer(waiting, 'a1', 'a2', 'a3')
    expect(rest(waiting)).toBe('a1a2a3')
  })

  it('conflates what waits for its turn, and what joins it', () => {
    const waiting = paced(1)
    offer(waiting, 'a1', 'a2', 'a3', 'b1')
    expect(rest(waiting)).toBe('a1')
    expect(waiting.length).toBe(3)
    expect(rest(waiting)).toBe('')
    expect(waiting.length).toBe(2)
    offer(waiting, 'a4')
    expect(waiting.length).toBe(2)
    expect(waiting.take(1_000)?.payload.toString()).toBe('b1')
    expect(waiting.take(2_000)?.payload.toString()).toBe('a4')
  })

  it('needs no room beside the older one that it replaces, and holds the bound', () => {
    const waiting = paced(1, 2)
    offer(waiting, 'x')
    rest(waiting)
    offer(waiting, 'a1')
    expect(rest(waiting)).toBe('')
    expect(offer(waiting, 'b1', 'a2', 'b2', 'c1')).toEqual([0, 0, 0, OVERFLOW])
  })

  it('conflates nothing more once all that waited has left', () => {
    const waiting = paced(2)
    offer(waiting, 'x1', 'x2')
    rest(waiting)
    offer(waiting, 'a1', 'a2')
    expect(rest(waiting)).toBe('')
    expect(waiting.take(1_000)?.payload.toString()).toBe('a2')
    offer(waiting, 'a3', 'a4')
    expect(waiting.take(3_000)?.payload.toString()).toBe('a3a4')
  })

  it('keeps all that waits when it only delays', () => {
    const waiting = paced(1, 1000, 'delay')
    offer(waiting, 'a1', 'a2')
    rest(waiting)
    expect(rest(waiting)).toBe('')
    offer(waiting, 'a3')
    expect(waiting.length).toBe(2)
  })
})
