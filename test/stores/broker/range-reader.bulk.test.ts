import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { FakeLog, FakeReader, idsAfter, idsOf, openStore, stopClock } from './fake-log.ts'

describe('clients that stopped before the cache', () => {
  it('receive exactly the entries after their positions', async () => {
    const log = new FakeLog({ entries: 5_000 })
    const store = await openStore(log)
    const positions = Array.from({ length: 200 }, (_, at) => ((at * 7_919) % 5_000) * 10 + 10)
    const found = await Promise.all(positions.map((after) => new FakeReader().replay(store, after)))
    expect(found.map(idsOf)).toEqual(positions.map((after) => idsAfter(after, 5_000)))
  })

  it('share reads, so that a storm of scattered clients reads each entry once', async () => {
    stopClock()
    const size = 1_000
    const entries = 10_000
    const log = new FakeLog({ entries, size })
    const store = await openStore(log)
    const positions = Array.from({ length: 500 }, (_, at) => ((at * 7_919) % entries) * 10 + 10)
    await Promise.all(positions.map((after) => new FakeReader().replay(store, after)))
    expect(log.bytes).toBeLessThan(entries * (size + 30) * 1.01)
    expect(log.reads.length).toBeLessThan(100)
    expect(store.reads).toMatchObject({ waiting: 0, running: 0 })
  })

  it('that resume one by one share few reads of a numbered log', async () => {
    stopClock()
    const channelOf = (number: number) => `c${number % 10}`
    const log = new FakeLog({ entries: 20_000, isNumbered: true, channelOf })
    const store = await openStore(log)
    for (let client = 0; client < 100; client++) {
      const after = ((client * 7_919) % 15_000) * 10 + 10
      const found = await new FakeReader().replay(store, after, ['c3'])
      expect(idsOf(found)).toEqual(idsAfter(after, 20_000).filter((id) => Number(id) % 100 === 30))
    }
    expect(log.reads.length).toBeLessThan(15)
  })
})

describe('an unknown position', () => {
  it('is looked up at most a thousand times, also if all clients resume at once', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const log = new FakeLog({ entries: 2_000 })
    const store = await openStore(log)
    for (const start of [15, 1_000_015]) {
      const positions = Array.from({ length: 1_980 }, (_, at) => start + at * 10)
      const replays = positions.map((after) => new FakeReader().replay(store, after))
      const found = await Promise.allSettled(replays)
      expect(found.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(960)
      vi.advanceTimersByTime(1_000)
      expect(idsOf(await new FakeReader().replay(store, 10))).toEqual(idsAfter(10, 2_000))
      vi.advanceTimersByTime(10_000)
    }
    expect(log.reads.length + log.lookups).toBeLessThan(2_020)
  })
})

describe('the memory of segments', () => {
  it('stays within the budget', async () => {
    const replayBytes = 4 * 1024 * 1024
    const log = new FakeLog({ entries: 20_000, size: 1_000 })
    const store = await openStore(log, { replayBytes })
    let peak = 0
    const range = log.range.bind(log)
    vi.spyOn(log, 'range').mockImplementation((...args) => {
      peak = Math.max(peak, store.reads.bytes)
      return range(...args)
    })
    await Promise.all([10, 50_000, 100_000].map((after) => new FakeReader().replay(store, after)))
    expect(peak).toBeLessThan(replayBytes * 1.1)
    expect(peak).toBeGreaterThan(replayBytes / 2)
  })
})
