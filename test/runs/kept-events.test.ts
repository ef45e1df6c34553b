import { describe, expect, test } from 'vitest'
import { RecentBatches } from '../../src/runs/recent-batches.ts'
import { Retention } from '../../src/runs/retention.ts'
import type { RunBatch } from '../../src/stores/run-store.ts'

const batchAt = (first: number, size = 1): RunBatch => ({
  first,
  events: [{ data: 'x'.repeat(size), isText: true }],
})

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at)

describe('the limits of a run', () => {
  /** Adds batches of one event. Returns how many events are kept after each. */
  function keptOf(retention: Retention, count: number, size: number): number[] {
    return Array.from({ length: count }, (_, at) => {
      retention.add(batchAt(at + 1, size))
      return at + 1 - Math.max(0, retention.evictBefore - 1)
    })
  }

  test.each([
    ['maxEvents', { maxEvents: 16, maxBytes: 1e6 }, 1],
    ['maxBytes', { maxEvents: 1e6, maxBytes: 1_600 }, 100],
  ])('of %s evict at most an eighth more than they must', (_, limits, size) => {
    const kept = keptOf(new Retention(limits), 100, size)
    expect(kept.slice(0, 16)).toEqual(Array.from({ length: 16 }, (_, at) => at + 1))
    expect([...new Set(kept.slice(16))].toSorted()).toEqual([15, 16])
  })

  test('keep the newest batch, however large it is', () => {
    const retention = new Retention({ maxEvents: 16, maxBytes: 1_000 })
    for (const [at, size] of [100, 5_000, 6_000].entries()) {
      retention.add(batchAt(at + 1, size))
      expect(retention.evictBefore).toBeLessThanOrEqual(at + 1)
    }
    expect(retention.evictBefore).toBe(3)
  })
})

describe('the newest batches of a run', () => {
  /** Returns batches of one event after each other. */
  function recentOf(count: number, size: number): RecentBatches {
    const recent = new RecentBatches()
    for (let first = 1; first <= count; first++) recent.push(batchAt(first, size))
    return recent
  }

  // At most a sixteenth fewer, because they are evicted as they are joined.
  test('are at most 256 events and 64 KiB, but at least one batch', () => {
    const keptOf = (count: number, size: number) => count + 1 - (recentOf(count, size).first as number)
    const kept = Array.from({ length: 50 }, (_, at) => [keptOf(1_000 + at, 10), keptOf(1_000 + at, 1_024)])
    expect([...new Set(kept.map(([small]) => small))].toSorted()).toEqual(range(241, 256))
    expect([...new Set(kept.map(([, large]) => large))].toSorted()).toEqual(range(61, 64))
    expect(recentOf(3, 100_000).first).toBe(3)
  })

  test('are joined while they are small and have the same place', () => {
    const recent = new RecentBatches()
    recent.push(batchAt(1))
    recent.push({ first: 2, events: [...batchAt(2).events, ...batchAt(3).events] })
    recent.push({ ...batchAt(4), place: '7' })
    recent.push({ ...batchAt(5), place: '8' })
    recent.push({ ...batchAt(6), place: '8', end: 'done' })
    recent.push({ ...batchAt(7, 8_000), place: '8' })
    const found = recent.after(0, 1e6)
    expect(found.map(({ first, events, place, end }) => [first, events.length, place, end])).toEqual([
      [1, 3, undefined, undefined],
      [4, 1, '7', undefined],
      [5, 2, '8', 'done'],
      [7, 1, '8', undefined],
    ])
  })

  test('do not change the batches that were added', () => {
    const recent = new RecentBatches()
    const batch = batchAt(1)
    recent.push(batch)
    recent.push(batchAt(2))
    expect(batch.events).toHaveLength(1)
  })

  test('are returned in pages of about the room of a client, with at least one batch', () => {
    const recent = recentOf(100, 100)
    const numbersOf = (after: number, room: number) => recent.after(after, room).map(({ first }) => first)
    // Each has 16 events of about 164 bytes on the wire.
    expect(numbersOf(18, 1)).toEqual([17])
    expect(numbersOf(18, 16 * 164 + 1)).toEqual([17, 33])
    expect(numbersOf(80, 1e6)).toEqual([81, 97])
    expect(numbersOf(100, 1e6)).toEqual([])
  })

  test('are empty after they were cleared', () => {
    const recent = recentOf(300, 300)
    recent.clear()
    expect([recent.first, recent.after(0, 1e6)]).toEqual([undefined, []])
    for (let first = 500; first < 600; first++) recent.push(batchAt(first))
    expect(recent.first).toBe(500)
  })
})
