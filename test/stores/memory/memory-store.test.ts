import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { eventFrame } from '../../../src/formats/event-stream.ts'
import type { LogEntry, Page } from '../../../src/stores/event-store.ts'
import { Evictions } from '../../../src/stores/memory/evictions.ts'
import { MemoryStore, type MemoryStoreOptions } from '../../../src/stores/memory/memory-store.ts'
import { logContract } from '../contract.ts'
import { PlainLog } from '../plain-store.ts'

logContract('MemoryLog', () => new MemoryStore())

function openLog(options?: MemoryStoreOptions, onEntry: (entry: LogEntry) => void = () => {}) {
  const log = new MemoryStore(options)
  log.open({
    entry: (id, channel, event) => ({
      id,
      channel,
      event,
      frame: eventFrame({ ...event, id }, JSON.stringify),
    }),
    serialize: JSON.stringify,
    onEntry,
    onLoss: () => {},
  })
  return log
}

const data = (page: Page) => (page === 'gap' ? page : page.entries.map((entry) => entry.event.data))
const entriesOf = (page: Page) => (page === 'gap' ? [] : page.entries)

describe('the window of a memory log', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it('is bounded in events; a place before it is a gap, the last one evicted is not', async () => {
    const log = openLog({ maxEvents: 3 })
    const start = log.position
    const ids: string[] = []
    for (let i = 0; i < 5; i++) ids.push(await log.append('a', { data: i }))
    expect(data(log.read(['a'], start, 10))).toBe('gap')
    expect(data(log.read(['a'], ids[0] as string, 10))).toBe('gap')
    expect(data(log.read(['a'], ids[1] as string, 10))).toEqual([2, 3, 4])
  })

  it('is bounded in bytes', async () => {
    const log = openLog({ maxBytes: 1000 })
    const start = log.position
    await log.append('a', { data: 'x'.repeat(400) })
    const second = await log.append('a', { data: 'x'.repeat(400) })
    expect(data(log.read(['a'], start, 10))).toHaveLength(2)
    await log.append('a', { data: 'y'.repeat(400) })
    expect(data(log.read(['a'], start, 10))).toBe('gap')
    expect(data(log.read(['a'], second, 10))).toHaveLength(1)
  })

  it('keeps nothing of an event that is larger than the bound, and says so', async () => {
    const log = openLog({ maxBytes: 100 })
    const start = log.position
    const id = await log.append('a', { data: 'x'.repeat(400) })
    expect(data(log.read(['a'], start, 10))).toBe('gap')
    expect(data(log.read(['a'], id, 10))).toEqual([])
  })

  it('is bounded in age, also when nothing is published', async () => {
    vi.useFakeTimers()
    const log = openLog({ maxAge: 1000 })
    const start = log.position
    await log.append('a', { data: 1 })
    vi.advanceTimersByTime(900)
    expect(data(log.read(['a'], start, 10))).toEqual([1])
    vi.advanceTimersByTime(300)
    expect(data(log.read(['a'], start, 10))).toBe('gap')
  })

  it('is bounded for each channel, so that a busy one leaves room for the others', async () => {
    const log = openLog({ maxEvents: 1000, perChannel: { maxEvents: 5 } })
    const start = log.position
    await log.append('quiet', { data: 'q' })
    for (let i = 0; i < 500; i++) await log.append('busy', { data: i })
    expect(data(log.read(['quiet'], start, 10))).toEqual(['q'])
    expect(data(log.read(['busy'], start, 10))).toBe('gap')
    expect(data(log.read(['busy', 'quiet'], start, 10))).toBe('gap')
  })

  it('is bounded in bytes for each channel', async () => {
    const log = openLog({ perChannel: { maxBytes: 1000 } })
    const start = log.position
    await log.append('quiet', { data: 'q' })
    const first = await log.append('busy', { data: 'x'.repeat(400) })
    await log.append('busy', { data: 'x'.repeat(400) })
    expect(data(log.read(['busy', 'quiet'], start, 10))).toHaveLength(3)
    await log.append('busy', { data: 'y'.repeat(400) })
    expect(data(log.read(['busy'], start, 10))).toBe('gap')
    expect(data(log.read(['busy'], first, 10))).toHaveLength(2)
    expect(data(log.read(['quiet'], start, 10))).toEqual(['q'])
  })

  it('is bounded in age for each channel', async () => {
    vi.useFakeTimers()
    const log = openLog({ perChannel: { maxAge: 1000 } })
    const start = log.position
    await log.append('a', { data: 1 })
    vi.advanceTimersByTime(900)
    expect(data(log.read(['a'], start, 10))).toEqual([1])
    vi.advanceTimersByTime(300)
    expect(data(log.read(['a'], start, 10))).toBe('gap')
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
    const start = log.position
    for (let i = 0; i < 50; i++) await log.append('prices', { key: `${i % 3}`, data: i }, { conflate: true })
    expect(data(log.read(['prices'], start, 10))).toEqual([47, 48, 49])
  })

  it('counts of a conflating channel the bytes of what is there, after any number of replacements', async () => {
    const sizes: number[] = []
    const log = openLog({ maxBytes: 400 }, ({ frame }) => sizes.push(frame.size))
    const start = log.position
    const publish = (key: string, value: string) =>
      log.append('prices', { key, data: value }, { conflate: true })
    for (let i = 0; i < 300; i++) await publish(`${i % 3}`, 'x'.repeat(i % 40))
    await publish('last', '')
    const bytes = sizes.slice(-4).reduce((sum, size) => sum + size, 0)
    await publish('last', 'y'.repeat(400 - bytes))
    expect(data(log.read(['prices'], start, 10))).toHaveLength(4)
    await publish('last', 'y'.repeat(401 - bytes))
    expect(data(log.read(['prices'], start, 10))).toBe('gap')
  })

  it('counts of a conflating channel no bytes of what was evicted', async () => {
    const sizes: number[] = []
    const log = openLog({ maxBytes: 400 }, ({ frame }) => sizes.push(frame.size))
    const ids: string[] = []
    for (let i = 100; i < 400; i++) {
      ids.push(await log.append('prices', { key: `${i}`, data: i }, { conflate: true }))
    }
    const fits = Math.floor(400 / (sizes.at(-1) as number))
    expect(data(log.read(['prices'], ids.at(-fits - 1) as string, 100))).toHaveLength(fits)
    expect(data(log.read(['prices'], ids.at(-fits - 2) as string, 100))).toBe('gap')
  })

  it('conflates in a channel from when that is asked for, and keeps what was published without', async () => {
    const log = openLog({ maxEvents: 5 })
    const start = log.position
    const publish = (value: string, conflate: boolean) =>
      log.append('a', { key: 'k', data: value }, { conflate })
    await publish('plain 1', false)
    await publish('newest 1', true)
    await publish('plain 2', false)
    for (let i = 2; i < 50; i++) await publish(`newest ${i}`, true)
    await publish('plain 3', false)
    expect(data(log.read(['a'], start, 10))).toEqual(['plain 1', 'plain 2', 'newest 49', 'plain 3'])
  })

  it('keeps what a conflating channel holds in order, however much was replaced in between', async () => {
    const log = openLog()
    const start = log.position
    const newest = new Map<number, number>()
    for (let i = 0; i < 100; i++) {
      const key = i === 0 ? -1 : i % 3
      newest.delete(key)
      newest.set(key, i)
      await log.append('a', { key: `${key}`, data: i }, { conflate: true })
      expect(data(log.read(['a'], start, 100))).toEqual([...newest.values()])
    }
  })

  it('keeps the same key apart in two conflating channels', async () => {
    const log = openLog()
    const start = log.position
    // Two that would be one if the names were only put together.
    await log.append('a', { key: 'bc', data: 1 }, { conflate: true })
    await log.append('ab', { key: 'c', data: 2 }, { conflate: true })
    expect(data(log.read(['a', 'ab'], start, 10))).toEqual([1, 2])
  })

  it('keeps of a conflating channel all that is the newest value of nothing', async () => {
    const log = openLog()
    const start = log.position
    const first = await log.append('a', { retry: 1 }, { conflate: true })
    const second = await log.append('a', { retry: 2 }, { conflate: true })
    expect(entriesOf(log.read(['a'], start, 10)).map(({ id }) => id)).toEqual([first, second])
  })

  it('finds out that nothing is newer without looking through all keys', async () => {
    const log = openLog({ maxEvents: 30_001 })
    for (let i = 0; i < 30_000; i++) await log.append('prices', { key: `${i}`, data: i }, { conflate: true })
    await log.append('plain', { data: 1 })
    const time = (channel: string) => {
      const startedAt = performance.now()
      for (let i = 0; i < 300; i++) log.read([channel], log.position, 500)
      return performance.now() - startedAt
    }
    const fastest = (channel: string) => Math.min(...Array.from({ length: 5 }, () => time(channel)))
    expect(fastest('prices')).toBeLessThan(10 * fastest('plain'))
  })

  it.each([
    ['hold something', 'small'],
    ['hold nothing', 'x'.repeat(400)],
  ])('knows of a channel that holds something what it lost, however many others %s', async (_, other) => {
    const log = openLog({ maxEvents: 100_000, perChannel: { maxEvents: 1, maxBytes: 100 } })
    const start = log.position
    await log.append('whole', { data: 'whole' })
    const first = await log.append('cut', { data: 'lost' })
    await log.append('cut', { data: 'kept' })
    for (let i = 0; i < 10_500; i++) {
      await log.append(`user:${i}`, { data: other })
      await log.append(`user:${i}`, { data: other })
    }
    expect(data(log.read(['whole'], start, 10))).toEqual(['whole'])
    expect(data(log.read(['cut'], start, 10))).toBe('gap')
    expect(data(log.read(['cut'], first, 10))).toEqual(['kept'])
  })

  it('begins an epoch of its own: an id of another log is a gap', async () => {
    const id = await openLog().append('a', { data: 1 })
    const log = openLog()
    await log.append('a', { data: 1 })
    expect(data(log.read(['a'], id, 10))).toBe('gap')
  })

  it('says a gap once it is closed', async () => {
    const log = openLog()
    const start = log.position
    await log.append('a', { data: 1 })
    await log.close()
    expect(data(log.read(['a'], start, 10))).toBe('gap')
  })

  it.each([
    { maxEvents: 0 },
    { maxBytes: '1' },
    { maxAge: -1 },
    { perChannel: { maxEvent: 1 } },
    { size: 1 },
  ])('refuses the options %j', (options) => {
    expect(() => new MemoryStore(options as MemoryStoreOptions)).toThrow(
      expect.objectContaining({ code: 'ERR_SSE_OPTION' }),
    )
  })

  it.each([5, null, []])('names the limits that are no object, but %j', (perChannel) => {
    expect(() => new MemoryStore({ perChannel: perChannel as never })).toThrow(
      /^Option perChannel must be an object, not /,
    )
  })
})

describe('the idempotency keys of a memory log', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  const key = { idempotencyKey: 'k' }

  it('are forgotten with the window in events', async () => {
    const log = openLog({ maxEvents: 3 })
    const first = await log.append('a', { data: 0 }, key)
    for (let i = 0; i < 2; i++) await log.append('b', { data: i })
    expect(await log.append('a', { data: 0 }, key)).toBe(first)
    await log.append('b', { data: 2 })
    expect(await log.append('a', { data: 0 }, key)).not.toBe(first)
  })

  it('are forgotten with the window in bytes', async () => {
    const log = openLog({ maxBytes: 1000 })
    const first = await log.append('a', { data: 'x'.repeat(400) }, key)
    await log.append('b', { data: 'x'.repeat(400) })
    expect(await log.append('a', { data: 0 }, key)).toBe(first)
    await log.append('b', { data: 'x'.repeat(400) })
    expect(await log.append('a', { data: 0 }, key)).not.toBe(first)
  })

  it('are forgotten with the window in age, also when nothing else is published', async () => {
    vi.useFakeTimers()
    for (const options of [{ maxAge: 1000 }, { perChannel: { maxAge: 1000 } }]) {
      const log = openLog(options)
      const first = await log.append('a', { data: 0 }, key)
      vi.advanceTimersByTime(1000)
      expect(await log.append('a', { data: 0 }, key)).toBe(first)
      vi.advanceTimersByTime(1)
      expect(await log.append('a', { data: 0 }, key)).not.toBe(first)
    }
  })

  it.each([
    ['events', { maxEvents: 2 }],
    ['bytes', { maxBytes: 80 }],
  ])('are forgotten with the window of their channel in %s', async (_, perChannel) => {
    const log = openLog({ perChannel })
    const first = await log.append('a', { data: 0 }, key)
    await log.append('a', { data: 1 })
    for (let i = 0; i < 100; i++) await log.append('b', { data: i })
    expect(await log.append('a', { data: 0 }, key)).toBe(first)
    await log.append('a', { data: 2 })
    expect(await log.append('a', { data: 0 }, key)).not.toBe(first)
  })

  it('count for what a newer event replaced as long as they would for what is kept', async () => {
    const log = openLog({ maxEvents: 4 })
    const newest = { conflate: true }
    const first = await log.append('a', { data: 0 }, { ...key, ...newest })
    for (let i = 1; i < 4; i++) await log.append('a', { data: i }, newest)
    expect(await log.append('a', { data: 0 }, { ...key, ...newest })).toBe(first)
    await log.append('a', { data: 4 }, newest)
    expect(await log.append('a', { data: 0 }, { ...key, ...newest })).not.toBe(first)
  })

  it('count for what is kept while others replace each other', async () => {
    const log = openLog({ maxEvents: 4 })
    const first = await log.append('a', { key: 'rare', data: 0 }, { ...key, conflate: true })
    for (let i = 0; i < 50; i++) await log.append('a', { key: 'often', data: i }, { conflate: true })
    expect(await log.append('a', { data: 0 }, key)).toBe(first)
  })

  it('are not left by what a busy channel loses to its own limits', async () => {
    const log = openLog({ maxEvents: 10, perChannel: { maxEvents: 3 } })
    const first = await log.append('quiet', { data: 0 }, { ...key, conflate: true })
    await log.append('quiet', { data: 1 }, { conflate: true })
    for (let i = 0; i < 100; i++) await log.append('busy', { data: i })
    expect(await log.append('quiet', { data: 0 }, key)).toBe(first)
  })

  it('are not kept for what is larger than the window', async () => {
    const log = openLog({ maxBytes: 100 })
    const first = await log.append('a', { data: 'x'.repeat(400) }, key)
    expect(await log.append('a', { data: 'x'.repeat(400) }, key)).not.toBe(first)
  })
})

describe('a memory log beside a plain list', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  const CHANNELS = ['a', 'b', 'c']
  const publish = fc.record({
    channel: fc.constantFrom(...CHANNELS),
    size: fc.nat(60),
    conflate: fc.constantFrom(true, true, true, false),
    key: fc.constantFrom('k', 'l'),
    idempotencyKey: fc.option(fc.constantFrom('x', 'y'), { nil: undefined }),
  })
  const look = fc.record({ channels: fc.subarray(CHANNELS, { minLength: 1 }), wait: fc.nat(40) })
  const steps = fc.array(fc.oneof({ weight: 5, arbitrary: publish }, { weight: 1, arbitrary: look }), {
    maxLength: 80,
    size: 'max',
  })
  const maybe = (min: number, max: number) => fc.option(fc.integer({ min, max }), { nil: undefined, freq: 2 })
  const limits = fc.record({ maxEvents: maybe(1, 20), maxBytes: maybe(30, 1500), maxAge: maybe(1, 200) })

  it('calls a gap what was evicted and nothing else, and knows the keys of what is there', async () => {
    vi.useFakeTimers()
    await fc.assert(
      fc.asyncProperty(steps, limits, limits, async (steps, all, perChannel) => {
        let size = 0
        const log = openLog({ ...all, perChannel }, ({ frame }) => {
          size = frame.size
        })
        const list = new PlainLog(all, perChannel)
        const places = [log.position]
        const compare = (channels: string[]) => {
          list.evict(performance.now())
          for (const [after, place] of places.entries()) {
            const missed = list.read(channels, after)
            expect(data(log.read(channels, place, 1000))).toEqual(missed)
            expect(data(log.read(channels, place, 2))).toEqual(missed === 'gap' ? 'gap' : missed.slice(0, 2))
          }
        }
        for (const [i, step] of steps.entries()) {
          if ('wait' in step) {
            compare(step.channels)
            vi.advanceTimersByTime(step.wait)
            continue
          }
          const { channel, conflate, key, idempotencyKey } = step
          const value = `${i}${'x'.repeat(step.size)}`
          const time = performance.now()
          list.evict(time)
          const known = idempotencyKey && list.idOf(channel, idempotencyKey)
          const id = await log.append(channel, { key, data: value }, { conflate, idempotencyKey })
          expect(id).toBe(known ?? log.position)
          if (known) continue
          places.push(id)
          list.append({
            id,
            channel,
            data: value,
            size,
            time,
            idempotencyKey,
            key: conflate ? key : undefined,
          })
        }
        for (const channels of [['a'], ['c', 'b'], CHANNELS]) compare(channels)
      }),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 100) },
    )
  })
})

describe('what a memory log holds', () => {
  setFlagsFromString('--expose-gc')
  const collectGarbage: () => void = runInNewContext('gc')

  it('is no entry that was replaced or evicted', async () => {
    const told: WeakRef<LogEntry>[] = []
    const log = openLog({ perChannel: { maxEvents: 3 } }, (entry) => told.push(new WeakRef(entry)))
    for (let i = 0; i < 100; i++) {
      await log.append('plain', { data: i })
      await log.append('prices', { key: i ? 'often' : 'rare', data: i }, { conflate: true })
    }
    await setImmediate()
    collectGarbage()
    const held = told.map((ref) => ref.deref()?.event.data).filter((each) => each !== undefined)
    expect(held).toEqual([0, 97, 98, 99, 99])
    expect(log.position).toMatch(/-200$/)
  })

  it.each([
    ['place of what was replaced', {}, { conflate: true }, {}],
    ['channel of which nothing is left', { maxEvents: 100 }, {}, { isChannel: true }],
    ['idempotency key of what was evicted', { maxEvents: 100 }, {}, { isKeyed: true }],
    ['idempotency key of what was replaced', { maxEvents: 100 }, { conflate: true }, { isKeyed: true }],
  ])(
    'is no %s',
    async (_, limits, options, { isKeyed = false, isChannel = false }: Record<string, boolean>) => {
      const log = openLog(limits)
      await log.append('a', { key: 'rare', data: 0 }, options)
      const heapAfter = async (from: number, to: number) => {
        for (let i = from; i < to; i++) {
          const idempotencyKey = isKeyed ? `${i}` : undefined
          const channel = isChannel ? `user:${i}` : 'a'
          await log.append(channel, { key: 'often', data: i }, { ...options, idempotencyKey })
        }
        collectGarbage()
        return process.memoryUsage().heapUsed
      }
      const before = await heapAfter(0, 20_000)
      expect((await heapAfter(20_000, 120_000)) - before).toBeLessThan(3_000_000)
      expect(log.position).toMatch(/-120001$/)
    },
  )
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

  it('forgets first what was evicted longest ago, and never that it was', () => {
    const evictions = new Evictions()
    evictions.add('again', 1)
    for (let i = 0; i < 9_999; i++) evictions.add(`user:${i}`, 10)
    evictions.add('again', 30_000)
    evictions.add('one more', 20)
    expect(evictions.upTo('again')).toBe(30_000)
    expect(evictions.upTo('never')).toBe(10)
    for (let i = 0; i < 20_000; i++) evictions.add(`other:${i}`, 20)
    expect(evictions.upTo('again')).toBe(30_000)
    expect(evictions.upTo('never')).toBe(30_000)
  })
})
