import { expect, test, vi } from 'vitest'
import { pause } from '../../src/scheduler/pause.ts'
import { countTimersOf } from '../support/timers.ts'

test('resolves after its time, and leaves no listener', async () => {
  const { signal } = new AbortController()
  const remove = vi.spyOn(signal, 'removeEventListener')
  await pause(1, signal)
  expect(remove).toHaveBeenCalledOnce()
})

test.each(['before', 'during'])(
  'rejects with the reason of a signal that is aborted %s it, without a timer',
  async (when) => {
    const controller = new AbortController()
    const reason = new Error('ended')
    const timers = await countTimersOf(async () => {
      if (when === 'before') controller.abort(reason)
      const paused = pause(60_000, controller.signal)
      controller.abort(reason)
      await expect(paused).rejects.toBe(reason)
    })
    expect(timers).toBe(0)
  },
)
