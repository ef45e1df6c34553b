import { describe, expect, test } from 'vitest'
import { isJudged } from '../../../src/cli/doctor/plan.ts'
import { events, steady } from '../../support/doctor/recorded-streams.ts'
import { recorded } from '../../support/recorded-exchange.ts'

const stream = (count: number, interval: number) =>
  recorded({ endedAt: 5_400, chunks: events(count, { interval }) })

describe('an examination', () => {
  test('may end after 5 s if events arrive one by one', () => {
    expect(isJudged({ main: steady() }, 5_500)).toBe(true)
    expect(isJudged({ main: steady() }, 4_900)).toBe(false)
  })

  test('goes on if the events have stopped', () => {
    const main = stream(12, 250)
    expect(isJudged({ main }, 5_400)).toBe(false)
    expect(isJudged({ main: stream(20, 250) }, 5_400)).toBe(true)
  })

  test('goes on until each stream has shown enough', () => {
    const main = steady()
    expect(isJudged({ main, second: stream(3, 500) }, 5_500)).toBe(false)
    expect(isJudged({ main, second: recorded({ end: 'ended', chunks: [] }) }, 5_500)).toBe(true)
  })
})
