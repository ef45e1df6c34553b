import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { RingBuffer } from '../../../src/ring-buffer.ts'
import type { Page } from '../../../src/stores/event-store.ts'
import type { LogEntry } from '../../../src/stores/log-entry.ts'
import { Evictions } from '../../../src/stores/memory/evictions.ts'
import { MemoryStore, type MemoryStoreOptions, memoryStore } from '../../../src/stores/memory/memory-store.ts'
import { logContract } from '../contract.ts'
import { PlainStore } from '../plain-store.ts'
import { footprintOf, openStore, type TestStore } from './test-store.ts'

logContract('memoryStore', () => memoryStore(), { respectsRoom: true })
logContract('memoryStore of 100 events', () => memoryStore({ maxEvents: 100 }), { respectsRoom: true })
logContract('the plain store of 100 events', () => new PlainStore({ maxEvents: 100 }))
logContract('the plain store that memoryStore is compared with', () => new PlainStore())

const data = (page: Page) => (page === 'gap' ? page : page.entries.map((entry) => entry.event.data))

describe('the window of a memory store', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it('is bounded in events; a position before it is a gap, that of the last evicted event is not', async () => {
    const store = openStore({ maxEvents: 3 })
    const start = store.position
    const ids: string[] = []
    for (let i = 0; i < 5; i++) ids.push(await store.publish('a', { data: i }))
    expect(data(store.read(['a'], start, 10))).toBe('gap')
    expect(data(store.read(['a'], ids[0] as string, 10))).toBe('gap')
    expect(data(store.read(['a'], ids[1] as string, 10))).toEqual([2, 3, 4])
  })

  it('is bounded in bytes', async () => {
    const store = openStore({ maxBytes: 2 * footprintOf(400, 'a') })
    const start = store.position
    await store.publish('a', { data: 'x'.repeat(400) })
    const second = await store.publish('a', { data: 'x'.repeat(400) })
    expect(data(store.read(['a'], start, 10))).toHaveLength(2)
    await store.publish('a', { data: 'y'.repeat(400) })
    expect(data(store.read(['a'], start, 10))).toBe('gap')
    expect(data(store.read(['a'], second, 10))).toHaveLength(1)
  })

  it('evicts an event larger than maxBytes at once, and a position before it is a gap', async () => {
    const store = openStore({ maxBytes: footprintOf(399, 'a') })
    const start = store.position
    const id = await store.publish('a', { data: 'x'.repeat(400) })
    expect(data(store.read(['a'], start, 10))).toBe('gap')
    expect(data(store.read(['a'], id, 10))).toEqual([])
  })

  describe.each<[string, (maxBytes: number) => MemoryStoreOptions]>([
    ['maxBytes', (maxBytes) => ({ maxBytes: 4 * maxBytes })],
    ['maxBytes of each channel', (maxBytes) => ({ perChannel: { maxBytes: 4 * maxBytes } })],
  ])('with events larger than %s', (_, optionsOf) => {
    const open = (onEntry?: (entry: LogEntry) => void) => openStore(optionsOf(footprintOf(20)), onEntry)
    const large = 'x'.repeat(10_000)

    it('keeps the events of all other channels', async () => {
      const store = open()
      const start = store.position
      for (let i = 0; i < 2; i++) await store.publish('quiet', { data: i })
      await store.publish('busy', { data: 'before' })
      for (let i = 0; i < 20; i++) await store.publish(i % 2 ? 'busy' : 'other', { data: large })
      expect(data(store.read(['quiet'], start, 10))).toEqual([0, 1])
      expect(data(store.read(['quiet', 'never published'], start, 10))).toEqual([0, 1])
      expect(data(store.read(['busy'], start, 10))).toBe('gap')
      expect(data(store.read(['other'], start, 10))).toBe('gap')
      await store.publish('busy', { data: 'after' })
      expect(data(store.read(['quiet'], start, 10))).toEqual([0, 1])
    })

    it('delivers them, and a position before one of them is a gap, but that of the last is not', async () => {
      const delivered: LogEntry[] = []
      const store = open((entry) => delivered.push(entry))
      const older = await store.publish('a', { data: 'older' })
      const first = await store.publish('a', { data: large })
      const second = await store.publish('a', { data: large })
      expect(delivered.map(({ id }) => id)).toEqual([older, first, second])
      expect(data(store.read(['a'], older, 10))).toBe('gap')
      expect(data(store.read(['a'], first, 10))).toBe('gap')
      expect(data(store.read(['a'], second, 10))).toEqual([])
      await store.publish('a', { data: 'newer' })
      expect(data(store.read(['a'], first, 10))).toBe('gap')
      expect(data(store.read(['a'], second, 10))).toEqual(['newer'])
    })

    it('evicts the older values of a conflating channel, and continues with newer ones', async () => {
      const store = open()
      const start = store.position
      const publish = (key: string, value: string) =>
        store.publish('a', { key, data: value }, { conflate: true })
      await publish('k', 'k1')
      await publish('l', 'l1')
      const id = await publish('k', large)
      expect(data(store.read(['a'], start, 10))).toBe('gap')
      await publish('k', 'k2')
      await publish('k', 'k3')
      await publish('l', 'l2')
      expect(data(store.read(['a'], id, 10))).toEqual(['k3', 'l2'])
      expect(data(store.read(['a'], start, 10))).toBe('gap')
    })

    it('remembers the idempotency key of one', async () => {
      const store = open()
      const id = await store.publish('a', { data: large }, { idempotencyKey: 'k' })
      expect(await store.publish('a', { data: 'again' }, { idempotencyKey: 'k' })).toBe(id)
    })

    it('starts a history after the last one, which is incomplete', async () => {
      const store = open()
      await store.publish('b', { data: 'b' })
      await store.publish('a', { data: 'older' })
      const id = await store.publish('a', { data: large })
      await store.publish('a', { data: 'newer' })
      expect(store.history(['a'], 5)).toEqual({ after: id, isIncomplete: true })
      expect(store.history(['a'], 1)).toEqual({ after: id, isIncomplete: false })
      expect(store.history(['a'], Number.POSITIVE_INFINITY)).toEqual({ after: id, isIncomplete: true })
      expect(store.history(['b'], 1)).toMatchObject({ isIncomplete: false })
    })

    it('returns 1 as the staleness of a position before one, also while its channel has no events', async () => {
      const store = open()
      const start = store.position
      const id = await store.publish('a', { data: large })
      expect([store.staleness(start, ['a']), store.staleness(id, ['a'])]).toEqual([1, 0])
      expect(store.staleness(start, ['b'])).toBe(0)
      await store.publish('a', { data: 'newer' })
      expect(store.staleness(start, ['b', 'a'])).toBe(1)
      expect(store.staleness(id, ['a'])).toBeLessThan(1)
    })
  })

  it('is bounded in age while nothing is published', async () => {
    vi.useFakeTimers()
    const store = openStore({ maxAge: 1000 })
    const start = store.position
    await store.publish('a', { data: 1 })
    vi.advanceTimersByTime(900)
    expect(data(store.read(['a'], start, 10))).toEqual([1])
    vi.advanceTimersByTime(300)
    expect(data(store.read(['a'], start, 10))).toBe('gap')
  })

  it('is bounded per channel, so that a busy channel does not evict the events of others', async () => {
    const store = openStore({ maxEvents: 1000, perChannel: { maxEvents: 5 } })
    const start = store.position
    await store.publish('quiet', { data: 'q' })
    for (let i = 0; i < 500; i++) await store.publish('busy', { data: i })
    expect(data(store.read(['quiet'], start, 10))).toEqual(['q'])
    expect(data(store.read(['busy'], start, 10))).toBe('gap')
    expect(data(store.read(['busy', 'quiet'], start, 10))).toBe('gap')
  })

  it('is bounded in bytes per channel', async () => {
    const store = openStore({ perChannel: { maxBytes: 2 * footprintOf(400) } })
    const start = store.position
    await store.publish('quiet', { data: 'q' })
    const first = await store.publish('busy', { data: 'x'.repeat(400) })
    await store.publish('busy', { data: 'x'.repeat(400) })
    expect(data(store.read(['busy', 'quiet'], start, 10))).toHaveLength(3)
    await store.publish('busy', { data: 'y'.repeat(400) })
    expect(data(store.read(['busy'], start, 10))).toBe('gap')
    expect(data(store.read(['busy'], first, 10))).toHaveLength(2)
    expect(data(store.read(['quiet'], start, 10))).toEqual(['q'])
  })

  it('is bounded in age per channel', async () => {
    vi.useFakeTimers()
    const store = openStore({ perChannel: { maxAge: 1000 } })
    const start = store.position
    await store.publish('a', { data: 1 })
    vi.advanceTimersByTime(900)
    expect(data(store.read(['a'], start, 10))).toEqual([1])
    vi.advanceTimersByTime(300)
    expect(data(store.read(['a'], start, 10))).toBe('gap')
  })

  it('is no gap for a channel if only events of other channels were evicted', async () => {
    const store = openStore({ maxEvents: 10 })
    const mine = await store.publish('mine', { data: 1 })
    for (let i = 0; i < 100; i++) await store.publish('others', { data: i })
    expect(data(store.read(['mine'], mine, 10))).toEqual([])
    expect(data(store.read(['mine', 'never published'], mine, 10))).toEqual([])
  })

  it('keeps the newest event of each key of a conflating channel, and a replaced event is no gap', async () => {
    const store = openStore({ maxEvents: 4 })
    const start = store.position
    for (let i = 0; i < 50; i++)
      await store.publish('prices', { key: `${i % 3}`, data: i }, { conflate: true })
    expect(data(store.read(['prices'], start, 10))).toEqual([47, 48, 49])
  })

  it('counts the bytes of the kept events of a conflating channel after any number of replacements', async () => {
    const sizes: number[] = []
    const maxBytes = 4 * footprintOf(40, 'prices')
    const store = openStore({ maxBytes }, ({ footprint }) => sizes.push(footprint))
    const start = store.position
    const publish = (key: string, value: string) =>
      store.publish('prices', { key, data: value }, { conflate: true })
    for (let i = 0; i < 300; i++) await publish(`${i % 3}`, 'x'.repeat(i % 40))
    await publish('last', '')
    const bytes = sizes.slice(-4).reduce((sum, size) => sum + size, 0)
    // Each character counts as a byte on the wire and one in memory.
    const left = Math.floor((maxBytes - bytes) / 2)
    await publish('last', 'y'.repeat(left))
    expect(data(store.read(['prices'], start, 10))).toHaveLength(4)
    await publish('last', 'y'.repeat(left + 1))
    expect(data(store.read(['prices'], start, 10))).toBe('gap')
  })

  it('counts no bytes of evicted events of a conflating channel', async () => {
    const sizes: number[] = []
    const maxBytes = 10 * footprintOf(3, 'prices')
    const store = openStore({ maxBytes }, ({ footprint }) => sizes.push(footprint))
    const ids: string[] = []
    for (let i = 100; i < 400; i++) {
      ids.push(await store.publish('prices', { key: `${i}`, data: i }, { conflate: true }))
    }
    const fits = Math.floor(maxBytes / (sizes.at(-1) as number))
    expect(data(store.read(['prices'], ids.at(-fits - 1) as string, 100))).toHaveLength(fits)
    expect(data(store.read(['prices'], ids.at(-fits - 2) as string, 100))).toBe('gap')
  })

  it('keeps events published without conflate beside conflated ones', async () => {
    const store = openStore({ maxEvents: 5 })
    const start = store.position
    const publish = (value: string, conflate: boolean) =>
      store.publish('a', { key: 'k', data: value }, { conflate })
    await publish('plain 1', false)
    await publish('newest 1', true)
    await publish('plain 2', false)
    for (let i = 2; i < 50; i++) await publish(`newest ${i}`, true)
    await publish('plain 3', false)
    expect(data(store.read(['a'], start, 10))).toEqual(['plain 1', 'plain 2', 'newest 49', 'plain 3'])
  })

  it('keeps the order of a conflating channel after any number of replacements', async () => {
    const store = openStore()
    const start = store.position
    const newest = new Map<number, number>()
    for (let i = 0; i < 100; i++) {
      const key = i === 0 ? -1 : i % 3
      newest.delete(key)
      newest.set(key, i)
      await store.publish('a', { key: `${key}`, data: i }, { conflate: true })
      expect(data(store.read(['a'], start, 100))).toEqual([...newest.values()])
    }
  })

  it('does not mix up the same key of two conflating channels', async () => {
    const store = openStore()
    const start = store.position
    // Both would be the same key if the names were only concatenated.
    await store.publish('a', { key: 'bc', data: 1 }, { conflate: true })
    await store.publish('ab', { key: 'c', data: 2 }, { conflate: true })
    expect(data(store.read(['a', 'ab'], start, 10))).toEqual([1, 2])
  })

  it('detects that no event is newer without visiting all keys', async () => {
    const store = openStore({ maxEvents: 30_001 })
    for (let i = 0; i < 30_000; i++)
      await store.publish('prices', { key: `${i}`, data: i }, { conflate: true })
    await store.publish('plain', { data: 1 })
    const time = (channel: string) => {
      const startedAt = performance.now()
      for (let i = 0; i < 300; i++) store.read([channel], store.position, 500)
      return performance.now() - startedAt
    }
    const fastest = (channel: string) => Math.min(...Array.from({ length: 5 }, () => time(channel)))
    expect(fastest('prices')).toBeLessThan(10 * fastest('plain'))
  })

  it.each([
    ['hold events', 'small'],
    ['hold none', 'x'.repeat(400)],
  ])('remembers the evictions of a channel with events while 10 500 other channels %s', async (_, other) => {
    const limits = { maxEvents: 1, maxBytes: footprintOf(10, 'user:10000') }
    const store = openStore({ maxEvents: 100_000, maxBytes: 1e9, perChannel: limits })
    const start = store.position
    await store.publish('whole', { data: 'whole' })
    const first = await store.publish('cut', { data: 'lost' })
    await store.publish('cut', { data: 'kept' })
    for (let i = 0; i < 10_500; i++) {
      await store.publish(`user:${i}`, { data: other })
      await store.publish(`user:${i}`, { data: other })
    }
    expect(data(store.read(['whole'], start, 10))).toEqual(['whole'])
    expect(data(store.read(['cut'], start, 10))).toBe('gap')
    expect(data(store.read(['cut'], first, 10))).toEqual(['kept'])
  })

  it('returns a gap for an id of another store', async () => {
    const id = await openStore().publish('a', { data: 1 })
    const store = openStore()
    await store.publish('a', { data: 1 })
    expect(data(store.read(['a'], id, 10))).toBe('gap')
  })

  it('returns a gap once it is closed', async () => {
    const store = openStore()
    const start = store.position
    await store.publish('a', { data: 1 })
    await store.close()
    expect(data(store.read(['a'], start, 10))).toBe('gap')
  })

  it.each([
    { maxEvents: 0 },
    { maxBytes: '1' },
    { maxAge: -1 },
    { perChannel: { maxEvent: 1 } },
    { size: 1 },
    { idempotencyWindow: 0 },
  ])('throws ERR_SSE_OPTION for the options %j', (options) => {
    expect(() => new MemoryStore(options as MemoryStoreOptions)).toThrow(
      expect.objectContaining({ code: 'ERR_SSE_OPTION' }),
    )
  })

  it.each([
    [{ maxEvents: 0 }, 'Option perChannel.maxEvents must be a whole number'],
    [{ maxEvent: 1 }, 'Unknown option "perChannel.maxEvent". Did you mean maxEvents?'],
  ])('names the path of the option perChannel %j', (perChannel, message) => {
    expect(() => new MemoryStore({ perChannel } as MemoryStoreOptions)).toThrow(message)
  })

  it.each([5, null, []])('names perChannel in the error for the value %j', (perChannel) => {
    expect(() => new MemoryStore({ perChannel: perChannel as never })).toThrow(
      /^Option perChannel must be an object, not /,
    )
  })
})

describe('a page of a memory store', () => {
  const { signal } = new AbortController()

  /** Returns the data of each page after a position. */
  function pagesOf(store: TestStore, channels: string[], after: string, limit: number, room: number) {
    const pages: unknown[][] = []
    for (let position = after; position !== store.position; ) {
      const page = store.read(channels, position, limit, { room, signal })
      if (page === 'gap') throw new Error('Expected no gap.')
      pages.push(page.entries.map(({ event }) => event.data))
      position = page.upTo
    }
    return pages
  }

  it('ends before it exceeds the room of its reader, but has an event', async () => {
    const sizes: number[] = []
    const store = openStore({}, ({ size }) => sizes.push(size))
    const start = store.position
    for (let i = 0; i < 6; i++) await store.publish(i % 2 ? 'odd' : 'even', { data: i })
    await store.publish('even', { data: 'x'.repeat(1_000) })
    await store.publish('odd', { data: 7 })
    const small = sizes[0] as number
    const channels = ['odd', 'even']
    const long = 'x'.repeat(1_000)
    expect(pagesOf(store, channels, start, 10, 3 * small)).toEqual([[0, 1, 2], [3, 4, 5], [long], [7]])
    expect(pagesOf(store, channels, start, 10, 3 * small - 1)).toEqual([[0, 1], [2, 3], [4, 5], [long], [7]])
    expect(pagesOf(store, channels, start, 10, 0)).toEqual([[0], [1], [2], [3], [4], [5], [long], [7]])
    expect(pagesOf(store, channels, start, 2, 1e6)).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
      [long, 7],
    ])
    expect(pagesOf(store, ['even'], start, 10, 2 * small)).toEqual([[0, 2], [4], [long]])
  })

  it('is read of any number of channels, as are a history and the staleness of a position', () => {
    const store = new MemoryStore()
    const channels = Array.from({ length: 600_000 }, (_, at) => `c${at}`)
    const { position } = store
    expect(store.read(channels, position, 10)).toEqual({ entries: [], upTo: position })
    expect(store.history(channels, 10)).toEqual({ after: position, isIncomplete: false })
    expect(store.staleness(position, channels)).toBe(0)
  })

  it('visits about as many events as it has, however many channels are read', async () => {
    const store = openStore({ maxEvents: 100_000, maxBytes: 1e9 })
    const start = store.position
    const channels = Array.from({ length: 100 }, (_, i) => `user:${i}`)
    for (let i = 0; i < 20_000; i++) await store.publish(`user:${i % 100}`, { data: i })
    const at = vi.spyOn(RingBuffer.prototype, 'at')
    const page = store.read(channels, start, 100)
    const pageVisits = at.mock.calls.length
    store.history(channels, 100)
    const historyVisits = at.mock.calls.length - pageVisits
    at.mockRestore()
    expect(data(page)).toEqual(Array.from({ length: 100 }, (_, i) => i))
    expect(pageVisits).toBeLessThan(300)
    expect(historyVisits).toBeLessThan(1_000)
  })
})

describe('an idempotency key of a memory store', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  const key = { idempotencyKey: 'k' }

  it.each<[string, MemoryStoreOptions, number]>([
    ['ten minutes', {}, 600_000],
    ['idempotencyWindow', { idempotencyWindow: 1_000 }, 1_000],
  ])('counts for %s', async (_, options, window) => {
    const store = openStore(options)
    const first = await store.publish('a', { data: 0 }, key)
    vi.advanceTimersByTime(window)
    expect(await store.publish('a', { data: 1 }, key)).toBe(first)
    vi.advanceTimersByTime(1)
    const second = await store.publish('a', { data: 2 }, key)
    expect(second).not.toBe(first)
    expect(await store.publish('a', { data: 3 }, key)).toBe(second)
  })

  it('counts from the publish that was appended, not from its repetitions', async () => {
    const store = openStore({ idempotencyWindow: 1_000 })
    const first = await store.publish('a', { data: 0 }, key)
    vi.advanceTimersByTime(600)
    await store.publish('a', { data: 1 }, key)
    vi.advanceTimersByTime(600)
    expect(await store.publish('a', { data: 2 }, key)).not.toBe(first)
  })

  it('is forgotten once maxEvents newer keys were published', async () => {
    const store = openStore({ maxEvents: 3 })
    const first = await store.publish('a', { data: 0 }, key)
    for (const idempotencyKey of ['l', 'm']) await store.publish('b', { data: 0 }, { idempotencyKey })
    expect(await store.publish('a', { data: 0 }, key)).toBe(first)
    await store.publish('b', { data: 0 }, { idempotencyKey: 'n' })
    expect(await store.publish('a', { data: 0 }, key)).not.toBe(first)
  })

  it('is forgotten once newer keys are as long as maxEvents keys of 256 characters', async () => {
    const store = openStore({ maxEvents: 4 })
    const long = (i: number) => ({ idempotencyKey: `${i}`.padEnd(500) })
    const ids: string[] = []
    for (let i = 0; i < 3; i++) ids.push(await store.publish('a', { data: i }, long(i)))
    expect(await store.publish('a', { data: 2 }, long(2))).toBe(ids[2])
    expect(await store.publish('a', { data: 1 }, long(1))).toBe(ids[1])
    expect(await store.publish('a', { data: 0 }, long(0))).not.toBe(ids[0])
    const longest = { idempotencyKey: 'k'.repeat(10_000) }
    const id = await store.publish('a', { data: 3 }, longest)
    expect(await store.publish('a', { data: 4 }, longest)).toBe(id)
  })

  it.each<[string, MemoryStoreOptions]>([
    ['by maxEvents', { maxEvents: 3 }],
    ['by maxBytes', { maxBytes: 5 * footprintOf(1, 'a') }],
    ['by maxAge', { maxAge: 1 }],
    ['by a limit per channel', { perChannel: { maxEvents: 1 } }],
  ])('still counts when its event was evicted %s', async (_, options) => {
    const store = openStore(options)
    const start = store.position
    const first = await store.publish('a', { data: 0 }, key)
    vi.advanceTimersByTime(10)
    for (let i = 0; i < 10; i++) await store.publish('a', { data: i })
    expect(store.read(['a'], start, 10)).toBe('gap')
    expect(await store.publish('a', { data: 0 }, key)).toBe(first)
  })

  it('still counts when its event was replaced by a newer one', async () => {
    const store = openStore()
    const first = await store.publish('a', { data: 0 }, { ...key, conflate: true })
    for (let i = 1; i < 50; i++) await store.publish('a', { data: i }, { conflate: true })
    expect(await store.publish('a', { data: 0 }, { ...key, conflate: true })).toBe(first)
  })
})

describe('Evictions', () => {
  it('remembers 10 000 channels, and counts any other as evicted', () => {
    const evictions = new Evictions()
    for (let i = 1; i <= 20_000; i++) evictions.add(`user:${i}`, i)
    expect(evictions.upTo('user:20000')).toBe(20_000)
    expect(evictions.upTo('user:10001')).toBe(10_001)
    expect(evictions.upTo('user:1')).toBe(10_000)
    expect(evictions.upTo('never')).toBe(10_000)
  })

  it('forgets the channel that was evicted longest ago first, and keeps its number for all others', () => {
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
