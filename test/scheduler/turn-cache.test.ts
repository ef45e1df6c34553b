import { setImmediate as turnEnd } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { TurnCache } from '../../src/scheduler/turn-cache.ts'

const list = (parts: readonly number[]) => [...parts]

describe('TurnCache', () => {
  it('returns one result for the same parts within a turn', async () => {
    const cache = new TurnCache<number, number[]>()
    const result = cache.get([1, 2], list)
    expect(result).toEqual([1, 2])
    expect(cache.get([1, 2], list)).toBe(result)
    await turnEnd()
    expect(cache.get([1, 2], list)).not.toBe(result)
  })

  it('returns another result for other parts', () => {
    const cache = new TurnCache<number, number[]>()
    for (const parts of [[1], [2], [2, 1], [1, 2], [1]]) expect(cache.get(parts, list)).toEqual(parts)
  })
})
