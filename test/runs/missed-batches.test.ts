import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { turn } from '../../src/scheduler/turn.ts'
import { MemoryRuns, RunMemory } from '../../src/stores/memory/memory-runs.ts'
import type { RunWatch, RunWatcher } from '../../src/stores/run-store.ts'
import { deferred } from '../support/deferred.ts'
import { batchAt, EvictingRuns } from '../support/evicting-runs.ts'
import { idsOf, openRuns, PushSource, runEventsOf, text } from '../support/runs.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

describe('a live subscriber', () => {
  test('receives a gap before events that follow evicted ones', async () => {
    const store = new EvictingRuns()
    const runs = openRuns({ store })
    await store.start('a', 'owner', 60_000)
    const { stream, transport } = fakeStream()
    await runs.subscribe(stream, 'a')
    store.watcher?.onBatch(batchAt(1))
    await settled()
    store.watcher?.onInterruption()
    await settled()
    expect(runEventsOf(transport)).toEqual(['text 1', 'gap {"reason":"evicted"}', 'text 10'])
  })

  test('receives no event again that was appended in the turn in which it was resumed', async () => {
    const store = new MemoryRuns()
    const runs = openRuns({ store })
    const { epoch } = await store.start('a', 'owner', 60_000)
    const present = fakeStream()
    await runs.subscribe(present.stream, 'a')
    const resumed = fakeStream({}, `${epoch}-1`)
    await settled()
    store.append('a', epoch, batchAt(1), { evictBefore: 0 })
    void runs.subscribe(resumed.stream, 'a')
    store.append('a', epoch, batchAt(2), { evictBefore: 0 })
    await settled()
    expect(runEventsOf(present.transport)).toEqual(['text 1', 'text 2'])
    expect(runEventsOf(resumed.transport)).toEqual(['text 2'])
    expect(idsOf(resumed.transport)).toEqual([`${epoch}-2`])
  })
})

test('a subscriber that falls behind in the step in which it has caught up receives each event once', async () => {
  const store = new MemoryRuns()
  const runs = openRuns({ store })
  const { epoch } = await store.start('a', 'owner', 60_000)
  const append = (first: number, count: number) => {
    const events = Array.from({ length: count }, () => ({ data: 'x'.repeat(10_000), isText: true }))
    store.append('a', epoch, { first, events }, { evictBefore: 0 })
  }
  append(1, 1)
  const { stream, transport } = fakeStream()
  const subscribed = runs.subscribe(stream, 'a')
  queueMicrotask(() => {
    append(2, 4)
    turn.fanOutNow()
  })
  await subscribed
  while (idsOf(transport).length < 5 || stream.bufferedEvents > 0) await nextTurn()
  await settled()
  expect(idsOf(transport)).toEqual([1, 2, 3, 4, 5].map((number) => `${epoch}-${number}`))
})

describe('a message about a batch that the broker has lost', () => {
  /** A store of several processes that reports no batch. */
  class MutedRuns extends MemoryRuns {
    readonly isShared = true

    override watch(id: string, epoch: string, watcher: RunWatcher): RunWatch {
      return super.watch(id, epoch, { onBatch: () => {}, onInterruption: () => watcher.onInterruption() })
    }
  }

  test.each([
    ['the process of its owner', 0],
    ['another process', 1],
  ])('delays the end of a run by at most two leases in %s', async (_, index) => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const memory = new RunMemory()
    const open = () => openRuns({ store: new MutedRuns(memory), lease: 1_000 })
    const processes = [open(), open()] as const
    const source = new PushSource()
    await processes[0].start('a', (signal) => source.read(signal))
    const { stream, transport } = fakeStream()
    await processes[index]?.subscribe(stream, 'a')
    source.push(text('a'))
    source.end()
    for (let time = 0; time < 2_000; time += 100) {
      await vi.advanceTimersByTimeAsync(100)
      await settled()
    }
    expect(runEventsOf(transport)).toEqual(['text a', 'end {"reason":"done"}'])
    expect(stream.closed).toBe(true)
  })
})

describe('the log of a run that is being opened', () => {
  test('has a batch that was reported after its state was read for the second time', async () => {
    const found = deferred<void>()
    class Overtaken extends MemoryRuns {
      finds = 0
      override watch(id: string, epoch: string, watcher: RunWatcher): RunWatch {
        return { ...super.watch(id, epoch, watcher), ready: settled() }
      }
      override find(id: string): never {
        const state = super.find(id)
        this.finds += 1
        return (this.finds === 1 ? state : found.promise.then(() => state)) as never
      }
    }
    const memory = new RunMemory()
    const store = new Overtaken(memory)
    const owner = openRuns({ store: new MemoryRuns(memory) })
    const source = new PushSource()
    await owner.start('a', (signal) => source.read(signal))
    const { stream, transport } = fakeStream()
    const subscribed = openRuns({ store }).subscribe(stream, 'a')
    await vi.waitFor(() => expect(store.finds).toBe(2))
    source.push(text('a'))
    await settled()
    found.resolve()
    await subscribed
    await settled()
    expect(runEventsOf(transport)).toEqual(['text a'])
  })
})
