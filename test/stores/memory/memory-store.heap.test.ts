import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { LogEntry } from '../../../src/stores/log-entry.ts'
import { collectGarbage } from '../../support/garbage.ts'
import type { publicationOf } from '../../support/publication.ts'
import { footprintOf, openStore, textOf } from './test-store.ts'

describe('the heap of a memory store', () => {
  it('keeps no reference to an entry that was replaced or evicted', async () => {
    const entries: WeakRef<LogEntry>[] = []
    const store = openStore({ perChannel: { maxEvents: 3 } }, (entry) => entries.push(new WeakRef(entry)))
    for (let i = 0; i < 100; i++) {
      await store.publish('plain', { data: i })
      await store.publish('prices', { key: i ? 'often' : 'rare', data: i }, { conflate: true })
    }
    await setImmediate()
    collectGarbage()
    const held = entries.map((ref) => ref.deref()?.event.data).filter((each) => each !== undefined)
    expect(held).toEqual([0, 97, 98, 99, 99])
    expect(store.position).toMatch(/-200$/)
  })

  it.each([
    ['position of a replaced event', {}, { conflate: true }, {}],
    ['channel without events', { maxEvents: 100 }, {}, { isChannel: true }],
    ['idempotency key beyond maxEvents', { maxEvents: 100 }, {}, { isKeyed: true }],
    [
      'idempotency key of a replaced event beyond maxEvents',
      { maxEvents: 100 },
      { conflate: true },
      { isKeyed: true },
    ],
  ])(
    'holds no %s',
    async (_, limits, options, { isKeyed = false, isChannel = false }: Record<string, boolean>) => {
      const store = openStore(limits)
      await store.publish('a', { key: 'rare', data: 0 }, options)
      const heapAfter = async (from: number, to: number) => {
        for (let i = from; i < to; i++) {
          const idempotencyKey = isKeyed ? `${i}` : undefined
          const channel = isChannel ? `user:${i}` : 'a'
          await store.publish(channel, { key: 'often', data: i }, { ...options, idempotencyKey })
        }
        collectGarbage()
        return process.memoryUsage().heapUsed
      }
      const before = await heapAfter(0, 20_000)
      expect((await heapAfter(20_000, 120_000)) - before).toBeLessThan(3_000_000)
      expect(store.position).toMatch(/-120001$/)
    },
  )
})

describe('the memory of a memory store', () => {
  const MiB = 2 ** 20

  /** Resolves with the bytes in use: objects, strings and buffers. */
  async function bytesInUse(): Promise<number> {
    await setImmediate()
    collectGarbage()
    collectGarbage()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }

  it.each<[string, string, (i: number) => Parameters<typeof publicationOf>]>([
    ['100 bytes', 'one channel', (i) => ['a', { data: textOf(100, i) }]],
    ['10 bytes', 'one channel', (i) => ['a', { data: textOf(10, i) }]],
    ['1 000 bytes', 'one channel', (i) => ['a', { data: textOf(1_000, i) }]],
    ['10 000 bytes', 'one channel', (i) => ['a', { data: textOf(10_000, i) }]],
    ['100 characters outside Latin-1', 'one channel', (i) => ['a', { data: textOf(100, i, 'ж') }]],
    ['100 bytes', 'a channel for each event', (i) => [`user:${i}`, { data: textOf(100, i) }]],
    [
      '100 bytes',
      'a conflating channel',
      (i) => ['a', { key: `${i}`, data: textOf(100, i) }, { conflate: true }],
    ],
    ['10 bytes', 'a channel with long keys', (i) => ['a', { key: textOf(500, i), data: 'x'.repeat(10) }]],
  ])('is about maxBytes for events of %s on %s while other code allocates small buffers', async (...row) => {
    const publicationAt = row[2]
    let other: Buffer | undefined
    const maxBytes = 4 * MiB
    const onEntry = ({ frame }: LogEntry) => {
      // As a subscriber does that is not on HTTP/1.1.
      expect(frame.payload.length).toBeGreaterThan(0)
      for (let i = 0; i < 3; i++) other = Buffer.from('y'.repeat(1_500))
    }
    // What is compiled and allocated once is not memory of the events.
    const warm = openStore({ maxEvents: 10 }, onEntry)
    for (let i = 0; i < 1_000; i++) await warm.publish(...publicationAt(i))
    const before = await bytesInUse()
    const store = openStore({ maxEvents: 100_000, maxBytes }, onEntry)
    const start = store.position
    for (let i = 0; store.read([publicationAt(0)[0]], start, 1) !== 'gap'; i++)
      await store.publish(...publicationAt(i))
    const bytes = (await bytesInUse()) - before
    expect(bytes).toBeLessThan(1.25 * maxBytes)
    // The limit is no excuse to keep little. Long keys are counted for each of their uses, some of which V8 shares.
    expect(bytes).toBeGreaterThan(0.4 * maxBytes)
    expect([store.position, other?.length]).toEqual([expect.any(String), 1_500])
  })

  it('does not grow with bursts in channels that then have few events', async () => {
    const before = await bytesInUse()
    const store = openStore({ maxEvents: 4_000 })
    for (let i = 0; i < 200; i++) {
      for (let j = 0; j < 3_000; j++) await store.publish(`user:${i}`, { data: j })
      // All of them keep at least one event.
      for (let j = 0; j <= i; j++) await store.publish(`user:${j}`, { data: j })
    }
    const most = 4_000 * footprintOf(10)
    expect((await bytesInUse()) - before).toBeLessThan(1.25 * most)
    expect(store.position).toMatch(/-620100$/)
  })

  it('does not grow with the values that newer ones replaced', async () => {
    const conflate = { conflate: true }
    const before = await bytesInUse()
    const store = openStore({}, ({ frame }) => frame)
    for (let i = 0; i < 2_000; i++) {
      await store.publish(`user:${i}`, { key: 'rare', data: i }, conflate)
      for (let j = 0; j < 20; j++) await store.publish(`user:${i}`, { key: 'often', data: j }, conflate)
    }
    expect((await bytesInUse()) - before).toBeLessThan(1.35 * 4_000 * footprintOf(10, 'user:1000'))
    expect(store.position).toMatch(/-42000$/)
  })

  it('has room for 10 000 events of 100 bytes by default', async () => {
    const store = openStore()
    const start = store.position
    for (let i = 0; i < 10_000; i++) await store.publish('news', { event: 'news', data: textOf(100, i) })
    expect(store.read(['news'], start, 1)).not.toBe('gap')
  })
})
