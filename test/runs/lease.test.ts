import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { Abandonment } from '../../src/runs/abandonment.ts'
import { Lease } from '../../src/runs/lease.ts'
import { MemoryRuns, RunMemory } from '../../src/stores/memory/memory-runs.ts'
import { openRuns, PushSource } from '../support/runs.ts'
import { settled } from '../support/streams.ts'

const LEASE = 6_000

afterEach(() => vi.useRealTimers())

/** Makes the process look as if it had been frozen for a time in ms. No timer has run meanwhile. */
function freeze(time: number): void {
  const now = performance.now.bind(performance)
  const spy = vi.spyOn(performance, 'now').mockImplementation(() => now() + time)
  onTestFinished(() => spy.mockRestore())
}

describe('a lease', () => {
  function openLease(renew: () => void | Promise<void> = () => {}) {
    vi.useFakeTimers()
    const renewed = vi.fn(renew)
    const onLost = vi.fn()
    const lease = new Lease(Object.assign(new MemoryRuns(), { renew: renewed }), LEASE, onLost)
    onTestFinished(() => lease.end())
    return { lease, renewed, onLost }
  }

  test('is renewed every sixth of its time until its end', async () => {
    const { lease, renewed, onLost } = openLease()
    await Promise.all([lease.begin(), lease.begin()])
    expect(renewed).toHaveBeenCalledTimes(1)
    await vi.advanceTimersByTimeAsync(2 * LEASE)
    expect(renewed).toHaveBeenCalledTimes(13)
    expect([lease.isHeld, lease.term, onLost.mock.calls]).toEqual([true, 0, []])
    lease.end()
    await vi.advanceTimersByTimeAsync(LEASE)
    expect(renewed).toHaveBeenCalledTimes(13)
  })

  test('is lost by a process that was frozen for longer, and begins again', async () => {
    const { lease, onLost } = openLease()
    await lease.begin()
    freeze(LEASE + 1)
    expect([lease.isHeld, lease.term]).toEqual([false, 0])
    await vi.advanceTimersByTimeAsync(LEASE / 6)
    expect([lease.isHeld, lease.term]).toEqual([true, 1])
    expect(onLost).toHaveBeenCalledTimes(1)
  })

  test('begins at the next attempt after one that the store has rejected', async () => {
    const { lease, renewed } = openLease()
    renewed.mockRejectedValueOnce(new Error('down'))
    await expect(lease.begin()).rejects.toThrow('down')
    await vi.advanceTimersByTimeAsync(LEASE)
    expect(renewed).toHaveBeenCalledTimes(1)
    await lease.begin()
    expect(renewed).toHaveBeenCalledTimes(2)
  })

  test('is kept during an outage of the store, without an unhandled rejection', async () => {
    vi.useFakeTimers()
    let renewals = 0
    // Not a mock, which would handle the rejections.
    const renew = async () => {
      renewals += 1
      if (renewals > 1) throw new Error('down')
    }
    const lease = new Lease(Object.assign(new MemoryRuns(), { renew }), LEASE, () => {})
    onTestFinished(() => lease.end())
    await lease.begin()
    const unhandled = vi.fn()
    process.prependListener('unhandledRejection', unhandled)
    onTestFinished(() => void process.removeListener('unhandledRejection', unhandled))
    await vi.advanceTimersByTimeAsync(LEASE)
    expect([lease.isHeld, renewals]).toEqual([true, 7])
    vi.useRealTimers()
    await settled()
    expect(unhandled).not.toHaveBeenCalled()
  })

  test('is kept if the store throws synchronously', async () => {
    const { lease, renewed } = openLease()
    await lease.begin()
    renewed.mockImplementationOnce(() => {
      throw new Error('down')
    })
    await vi.advanceTimersByTimeAsync(LEASE)
    expect([lease.isHeld, renewed.mock.calls.length]).toEqual([true, 7])
  })

  test('that was lost ends the runs of the process before they append again', async () => {
    const memory = new RunMemory()
    const runs = openRuns({ store: new MemoryRuns(memory) })
    const source = new PushSource()
    const run = await runs.start('a', (signal) => source.read(signal))
    freeze(60_000)
    source.push('late')
    expect(await run.whenEnded()).toBe('lost')
    const store = new MemoryRuns(memory)
    const { epoch = '', last } = store.find('a') ?? {}
    const [batch] = store.read('a', epoch, { number: 0 }, 1e6) ?? []
    expect([last, batch?.end, source.isClosed]).toEqual([1, 'lost', true])
  })
})

describe('the time after which a run is abandoned', () => {
  const TIME = 1_000

  function abandon(isWatched: () => boolean | Promise<boolean>) {
    vi.useFakeTimers()
    const watched = vi.fn(isWatched)
    const onAbandoned = vi.fn()
    const abandonment = new Abandonment(TIME, watched, onAbandoned)
    onTestFinished(() => abandonment.end())
    return { abandonment, watched, onAbandoned }
  }

  test('begins again when the run was watched', async () => {
    const { watched, onAbandoned } = abandon(() => false)
    await vi.advanceTimersByTimeAsync(0.8 * TIME)
    watched.mockResolvedValueOnce(true)
    await vi.advanceTimersByTimeAsync(0.9 * TIME)
    expect(onAbandoned).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(TIME)
    expect(onAbandoned).toHaveBeenCalled()
  })

  test('begins again when the store could not find out whether it was watched', async () => {
    const { watched, onAbandoned } = abandon(() => false)
    await vi.advanceTimersByTimeAsync(0.8 * TIME)
    watched.mockRejectedValueOnce(new Error('down'))
    await vi.advanceTimersByTimeAsync(0.9 * TIME)
    expect(onAbandoned).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(TIME)
    expect(onAbandoned).toHaveBeenCalled()
  })

  test('is not measured after its end', async () => {
    const { abandonment, watched, onAbandoned } = abandon(() => false)
    abandonment.end()
    await vi.advanceTimersByTimeAsync(10 * TIME)
    expect([watched.mock.calls, onAbandoned.mock.calls]).toEqual([[], []])
  })
})
