import { describe, expect, test, vi } from 'vitest'
import { SseError } from '../../src/errors.ts'
import { MemoryRuns, RunMemory } from '../../src/stores/memory/memory-runs.ts'
import type { RunStore, StartedRun } from '../../src/stores/run-store.ts'
import { deferred } from '../support/deferred.ts'
import { openRuns, PushSource } from '../support/runs.ts'
import { SlowRuns } from '../support/slow-runs.ts'
import { settled } from '../support/streams.ts'

const failure = new SseError('ERR_SSE_STORE', 'down')

describe('a start that the store has rejected', () => {
  /** A process whose first start is rejected. */
  function openFailing(store: RunStore) {
    const start = vi.spyOn(store as MemoryRuns, 'start')
    start.mockRejectedValueOnce(failure)
    return { runs: openRuns({ store }), start }
  }

  test('does not end the run that a later call has started', async () => {
    const store = new SlowRuns()
    const release = store.hold()
    const { runs } = openFailing(store)
    const source = new PushSource()
    await expect(runs.start('a', (signal) => source.read(signal))).rejects.toThrow(failure)
    const run = await runs.start('a', (signal) => source.read(signal))
    release()
    await settled()
    await settled()
    expect([source.isClosed, runs.running]).toEqual([false, 1])
    source.end()
    expect(await run.whenEnded()).toBe('done')
  })

  test('does not end the run that a call in progress is starting', async () => {
    const store = new MemoryRuns()
    const started = deferred<void>()
    const { runs, start } = openFailing(store)
    const original = MemoryRuns.prototype.start.bind(store)
    start.mockImplementation(async (...args): Promise<StartedRun> => {
      const state = await original(...args)
      await started.promise
      return state
    })
    const find = vi.spyOn(store, 'find')
    const source = new PushSource()
    const failed = expect(runs.start('a', (signal) => source.read(signal))).rejects.toThrow(failure)
    const running = runs.start('a', (signal) => source.read(signal))
    await failed
    // It is looked up twice before the call ends.
    await vi.waitFor(() => expect(find.mock.calls.length).toBeGreaterThan(1), 20_000)
    started.resolve()
    source.end()
    expect(await (await running).whenEnded()).toBe('done')
  })

  test('does not end the run of another process', async () => {
    const memory = new RunMemory()
    const other = openRuns({ store: new MemoryRuns(memory) })
    const source = new PushSource()
    const run = await other.start('a', (signal) => source.read(signal))
    const { runs } = openFailing(new MemoryRuns(memory))
    await expect(runs.start('a', () => [])).rejects.toThrow(failure)
    await settled()
    source.end()
    expect(await run.whenEnded()).toBe('done')
  })

  test('ends its run as lost after an outage', async () => {
    const store = new MemoryRuns()
    const runs = openRuns({ store })
    const original = MemoryRuns.prototype.start.bind(store)
    vi.spyOn(store, 'start').mockImplementation(async (...args): Promise<StartedRun> => {
      await original(...args)
      throw failure
    })
    const find = vi.spyOn(store, 'find').mockImplementationOnce(() => {
      throw failure
    })
    await expect(runs.start('a', () => [])).rejects.toThrow(failure)
    await vi.waitFor(() => expect(store.find('a')?.end).toBe('lost'), 20_000)
    expect(find.mock.calls.length).toBeGreaterThan(1)
  })
})
