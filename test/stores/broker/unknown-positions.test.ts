import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { UnknownPositions } from '../../../src/stores/broker/unknown-positions.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date', 'performance'] }))
afterEach(() => void vi.useRealTimers())

/** Looks up positions that the log does not have. Returns how many lookups were not refused. */
function lookUp(positions: UnknownPositions, count: number): number {
  for (let done = 0; done < count; done++)
    try {
      positions.check()
      positions.add(`${done}`)
    } catch {
      return done
    }
  return count
}

describe('lookups that find nothing', () => {
  it('are not refused at 1 000 a second, for ten seconds', () => {
    const positions = new UnknownPositions()
    for (let second = 0; second < 10; second++) {
      expect(lookUp(positions, 1_000)).toBe(1_000)
      vi.advanceTimersByTime(1_000)
    }
  })

  it('are refused beyond 1 000 in a burst, but for no longer than they are too many', () => {
    const positions = new UnknownPositions()
    expect(lookUp(positions, 5_000)).toBe(1_000)
    vi.advanceTimersByTime(100)
    expect(lookUp(positions, 5_000)).toBe(100)
    vi.advanceTimersByTime(60_000)
    expect(lookUp(positions, 5_000)).toBe(1_000)
  })
})
