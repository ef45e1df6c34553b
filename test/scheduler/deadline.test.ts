import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { TICK } from '../../src/scheduler/clock.ts'
import { Deadline } from '../../src/scheduler/deadline.ts'
import { blockFakeTimers } from '../support/block.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function start(ms: number) {
  const onOver = vi.fn()
  return { deadline: new Deadline(ms, onOver), onOver }
}

describe('a deadline', () => {
  it('is reached one tick after its time, so that the sockets were read', () => {
    const { deadline, onOver } = start(1_000)
    vi.advanceTimersByTime(1_000 + TICK - 1)
    expect([deadline.isOver, onOver.mock.calls.length]).toEqual([false, 0])
    vi.advanceTimersByTime(1)
    expect([deadline.isOver, onOver.mock.calls.length]).toEqual([true, 1])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('waits once more as long as the event loop was blocked (rule 44)', () => {
    const { onOver } = start(1_000)
    blockFakeTimers(600)
    vi.advanceTimersByTime(1_000)
    vi.advanceTimersByTime(599)
    expect(onOver).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1)
    expect(onOver).toHaveBeenCalledOnce()
  })

  it('waits at most twice its time, however long the process was frozen', () => {
    const { onOver } = start(1_000)
    blockFakeTimers(3_600_000)
    vi.advanceTimersByTime(2_000)
    expect(onOver).toHaveBeenCalledOnce()
  })

  it('of 0 ms is not extended', () => {
    const { onOver } = start(0)
    vi.advanceTimersByTime(0)
    expect(onOver).toHaveBeenCalledOnce()
  })

  it('is never reached once it is cancelled, also while it waits once more', () => {
    const { deadline, onOver } = start(1_000)
    vi.advanceTimersByTime(1_000)
    deadline.cancel()
    vi.advanceTimersByTime(10_000)
    expect([deadline.isOver, onOver.mock.calls.length, vi.getTimerCount()]).toEqual([false, 0, 0])
  })
})
