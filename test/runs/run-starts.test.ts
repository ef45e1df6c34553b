import { afterEach, describe, expect, test, vi } from 'vitest'
import { SseError } from '../../src/errors.ts'
import { MemoryRuns, RunMemory } from '../../src/stores/memory/memory-runs.ts'
import { asPermanent } from '../../src/stores/permanent-error.ts'
import type { RunStore, StartedRun } from '../../src/stores/run-store.ts'
import { deferred } from '../support/deferred.ts'
import { openRuns, PushSource } from '../support/runs.ts'
import { SlowRuns } from '../support/slow-runs.ts'
import { settled } from '../support/streams.ts'

const failure = new SseError('ERR_SSE_STORE', 'down')

afterEach(() => vi.useRealTimers())

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

  test('is looked up by one loop for all starts of an id, less and less often', async () => {
    vi.useFakeTimers()
    const store = new MemoryRuns()
    vi.spyOn(store, 'start').mockRejectedValue(failure)
    const find = vi.spyOn(store, 'find').mockImplementation(() => {
      throw failure
    })
    const runs = openRuns({ store })
    for (let at = 0; at < 100; at++) await expect(runs.start('a', () => [])).rejects.toThrow(failure)
    expect(find).toHaveBeenCalledTimes(1)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(find.mock.calls.length).toBeLessThan(20)
    find.mockRestore()
    const found = vi.spyOn(store, 'find')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(found).toHaveBeenCalledTimes(1)
  })

  test('is not looked up again after a permanent rejection', async () => {
    vi.useFakeTimers()
    const store = new MemoryRuns()
    vi.spyOn(store, 'start').mockRejectedValue(failure)
    const find = vi.spyOn(store, 'find').mockImplementation(() => {
      throw asPermanent(new SseError('ERR_SSE_STORE', 'no rights'))
    })
    const runs = openRuns({ store })
    for (let at = 0; at < 10; at++) await expect(runs.start('a', () => [])).rejects.toThrow(failure)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(find.mock.calls.length).toBeLessThanOrEqual(10)
  })

  test('is not looked up if nothing was sent', async () => {
    const store = new MemoryRuns()
    vi.spyOn(store, 'renew').mockImplementation(() => {
      throw failure
    })
    const find = vi.spyOn(store, 'find')
    await expect(openRuns({ store }).start('a', () => [])).rejects.toThrow(failure)
    await settled()
    expect(find).not.toHaveBeenCalled()
  })

  test('ends as lost if it was stored while an earlier one was looked up', async () => {
    const store = new MemoryRuns()
    const [stored, looked] = [deferred<void>(), deferred<void>()]
    const original = MemoryRuns.prototype.start.bind(store)
    vi.spyOn(store, 'start')
      .mockRejectedValueOnce(failure)
      .mockImplementationOnce(async (...args): Promise<StartedRun> => {
        await original(...args)
        stored.resolve()
        throw failure
      })
    vi.spyOn(store, 'find').mockImplementationOnce((() => looked.promise) as never)
    const runs = openRuns({ store })
    await expect(runs.start('a', () => [])).rejects.toThrow(failure)
    await expect(runs.start('a', () => [])).rejects.toThrow(failure)
    await stored.promise
    looked.resolve()
    await vi.waitFor(() => expect(store.find('a')?.end).toBe('lost'), 10_000)
  })
})
