import { describe, expect, it, onTestFinished } from 'vitest'
import { ReplayTurn } from '../../src/scheduler/replay-turns.ts'
import { nextTurn } from '../support/streams.ts'

const BUDGET = 250 * 1024

/** Replays with numbers, of which those that got their turn are recorded. Each does the same work in its turn. */
function replays(count: number, work: number) {
  const done: number[] = []
  const all = Array.from({ length: count }, (_, number) => {
    const step = () => {
      done.push(number)
      replay.end(work)
    }
    const replay: ReplayTurn = new ReplayTurn(() => queueMicrotask(step))
    return { replay, start: () => replay.begin() && step() }
  })
  onTestFinished(async () => {
    for (const { replay } of all) replay.cancel()
    await nextTurn()
  })
  for (const { start } of all) start()
  return { done, all }
}

describe('the turn of a replay', () => {
  it('begins at once while the budget of the turn is not spent', () => {
    const { done } = replays(3, 10)
    expect(done).toEqual([0, 1, 2])
  })

  it('begins in a later turn of the event loop once the budget is spent, in the order of the requests', async () => {
    const { done } = replays(7, BUDGET / 2)
    expect(done).toEqual([0, 1])
    for (let before = 2; before < 7; before = done.length) {
      await nextTurn()
      expect(done.length - before).toBeLessThanOrEqual(2)
    }
    expect(done).toEqual([0, 1, 2, 3, 4, 5, 6])
  })

  it('begins in a later turn if another one has begun and not ended', async () => {
    const first = new ReplayTurn(() => {})
    expect(first.begin()).toBe(true)
    const { done } = replays(2, 10)
    expect(done).toEqual([])
    first.end(10)
    for (let tick = 0; tick < 5; tick++) await null
    expect(done).toEqual([0, 1])
  })

  it('begins after that of the replays that wait, also if the budget is not spent', async () => {
    const { done, all } = replays(3, BUDGET)
    await nextTurn()
    const late = new ReplayTurn(() => {})
    expect(late.begin()).toBe(false)
    late.cancel()
    while (done.length < 3) await nextTurn()
    all[0]?.start()
    await nextTurn()
    expect(done).toEqual([0, 1, 2, 0])
  })

  it('is passed on by a replay that is cancelled', async () => {
    const { done, all } = replays(4, BUDGET)
    all[1]?.replay.cancel()
    while (done.length < 3) await nextTurn()
    expect(done).toEqual([0, 2, 3])
  })

  it('begins in the order of the requests after some were cancelled, and after none waited', async () => {
    for (const cancelled of [[], [1, 5], [2, 3, 4, 6]] as number[][]) {
      const { done, all } = replays(7, BUDGET)
      for (const number of cancelled) all[number]?.replay.cancel()
      // Waits at the end again.
      all[cancelled[0] ?? 7]?.start()
      const expected = [0, 1, 2, 3, 4, 5, 6].filter((number) => !cancelled.includes(number))
      expected.push(...cancelled.slice(0, 1))
      while (done.length < expected.length) await nextTurn()
      expect(done).toEqual(expected)
      await nextTurn()
    }
  })

  it('does not depend on a replay that never ends its own', async () => {
    const stuck = new ReplayTurn(() => {})
    new ReplayTurn(() => {}).end(BUDGET)
    expect(stuck.begin()).toBe(false)
    const { done } = replays(2, 10)
    while (done.length < 2) await nextTurn()
    expect(stuck.isGranted).toBe(true)
    stuck.cancel()
  })
})
