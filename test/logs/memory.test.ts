import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { eventFrame } from '../../src/frame.ts'
import type { LogEntry } from '../../src/logs/event-log.ts'
import { Evictions } from '../../src/logs/memory/evictions.ts'
import { MemoryLog, type MemoryLogOptions } from '../../src/logs/memory.ts'
import { logContract } from './contract.ts'

logContract('MemoryLog', () => new MemoryLog())

function openLog(options?: MemoryLogOptions) {
  const log = new MemoryLog(options)
  log.open({
    entry: (id, channel, event) => ({
      id,
      channel,
      event,
      frame: eventFrame({ ...event, id }, JSON.stringify),
    }),
    onEntry: () => {},
  })
  return log
}

const data = (page: readonly LogEntry[] | 'gap') =>
  page === 'gap' ? page : page.map((entry) => entry.event.data)

describe('the window of a memory log', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it('is bounded in events; a place before it is a gap, the last one evicted is not', async () => {
    const log = openLog({ maxEvents: 3 })
    const start = log.head
    const ids: string[] = []
    for (let i = 0; i < 5; i++) ids.push(await log.append('a', { data: i }))
    expect(data(log.read(['a'], start, 10))).toBe('gap')
    expect(data(log.read(['a'], ids[0] as string, 10))).toBe('gap')
    expect(data(log.read(['a'], ids[1] as string, 10))).toEqual([2, 3, 4])
  })

  it('is bounded in bytes', async () => {
    const log = openLog({ maxBytes: 1000 })
    const start = log.head
    await log.append('a', { data: 'x'.repeat(400) })
    const second = await log.append('a', { data: 'x'.repeat(400) })
    expect(log.read(['a'], start, 10)).toHaveLength(2)
    await log.append('a', { data: 'y'.repeat(400) })
    expect(data(log.read(['a'], start, 10))).toBe('gap')
    expect(log.read(['a'], second, 10)).toHaveLength(1)
  })

  it('keeps nothing of an event that is larger than the bound, and says so', async () => {
    const log = openLog({ maxBytes: 100 })
    const start = log.head
    const id = await log.append('a', { data: 'x'.repeat(400) })
    expect(data(log.read(['a'], start, 10))).toBe('gap')
    expect(data(log.read(['a'], id, 10))).toEqual([])
  })

  it('is bounded in age, also when nothing is published', async () => {
    vi.useFakeTimers()
    const log = openLog({ maxAge: 1000 })
    const start = log.head
    await log.append('a', { data: 1 })
    vi.advanceTimersByTime(900)
    expect(data(log.read(['a'], start, 10))).toEqual([1])
    vi.advanceTimersByTime(300)
    expect(data(log.read(['a'], start, 10))).toBe('gap')
  })

  it('is bounded for each channel, so that a busy one leaves room for the others', async () => {
    const log = openLog({ maxEvents: 1000, perChannel: { maxEvents: 5 } })
    const start = log.head
    await log.append('quiet', { data: 'q' })
    for (let i = 0; i < 500; i++) await log.append('busy', { data: i })
    expect(data(log.read(['quiet'], start, 10))).toEqual(['q'])
    expect(data(log.read(['busy'], start, 10))).toBe('gap')
    expect(data(log.read(['busy', 'quiet'], start, 10))).toBe('gap')
  })

  it('tells no gap to whom only other channels were evicted', async () => {
    const log = openLog({ maxEvents: 10 })
    const mine = await log.append('mine', { data: 1 })
    for (let i = 0; i < 100; i++) await log.append('others', { data: i })
    expect(data(log.read(['mine'], mine, 10))).toEqual([])
    expect(data(log.read(['mine', 'never published'], mine, 10))).toEqual([])
  })

  it('keeps of a conflating channel the newest of each key, and calls what was replaced no gap', async () => {
    const log = openLog({ maxEvents: 4 })
    const start = log.head
    for (let i = 0; i < 50; i++) await log.append('prices', { key: `${i % 3}`, data: i }, { conflate: true })
    expect(data(log.read(['prices'], start, 10))).toEqual([47, 48, 49])
  })

  it('forgets an idempotency key with the window', async () => {
    const log = openLog({ maxEvents: 3 })
    const first = await log.append('a', { data: 0 }, { idempotencyKey: 'k' })
    for (let i = 0; i < 2; i++) await log.append('a', { data: i })
    expect(await log.append('a', { data: 0 }, { idempotencyKey: 'k' })).toBe(first)
    for (let i = 0; i < 3; i++) await log.append('a', { data: i })
    expect(await log.append('a', { data: 0 }, { idempotencyKey: 'k' })).not.toBe(first)
  })

  it('begins an epoch of its own: an id of another log is a gap', async () => {
    const id = await openLog().append('a', { data: 1 })
    const log = openLog()
    await log.append('a', { data: 1 })
    expect(data(log.read(['a'], id, 10))).toBe('gap')
  })

  it('is what a plain list would be, whatever is appended and wherever one reads on', async () => {
    const step = fc.record({ channel: fc.constantFrom('a', 'b', 'c'), size: fc.nat(60) })
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 1, max: 20 }),
        async (steps, maxEvents) => {
          const log = openLog({ maxEvents, maxBytes: 1500, perChannel: { maxEvents: 7 } })
          const places = [log.head]
          const entries: Array<{ channel: string; data: string }> = []
          for (const [i, { channel, size }] of steps.entries()) {
            const entry = { channel, data: `${i}${'x'.repeat(size)}` }
            entries.push(entry)
            places.push(await log.append(channel, { data: entry.data }))
          }
          for (const channels of [['a'], ['b', 'c'], ['a', 'b', 'c']]) {
            for (const [i, place] of places.entries()) {
              const missed = entries.slice(i).filter((entry) => channels.includes(entry.channel))
              const page = data(log.read(channels, place, 1000))
              const all = missed.map((entry) => entry.data)
              // Either all of it, or a gap: then something is no longer there.
              if (page === 'gap') expect(data(log.read(channels, log.head, 1000))).toEqual([])
              else expect(page).toEqual(all)
            }
          }
        },
      ),
    )
  })

  it.each([
    { maxEvents: 0 },
    { maxBytes: '1' },
    { maxAge: -1 },
    { perChannel: { maxEvent: 1 } },
    { size: 1 },
  ])('refuses the options %j', (options) => {
    expect(() => new MemoryLog(options as MemoryLogOptions)).toThrow(
      expect.objectContaining({ code: 'ERR_SSE_OPTION' }),
    )
  })
})

describe('Evictions', () => {
  it('remembers a bounded number of channels, and takes the rest for evicted rather than for whole', () => {
    const evictions = new Evictions()
    for (let i = 1; i <= 20_000; i++) evictions.add(`user:${i}`, i)
    expect(evictions.upTo('user:20000')).toBe(20_000)
    expect(evictions.upTo('user:10001')).toBe(10_001)
    expect(evictions.upTo('user:1')).toBe(10_000)
    expect(evictions.upTo('never')).toBe(10_000)
  })
})
