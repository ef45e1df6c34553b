import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { emptyLedgerCounts, Ledger } from '../../../src/cli/load/ledger.ts'

/**
 * Returns the counts of a ledger that receives numbers, with `'gap'` for a gap event and `'resume'` for a reconnect.
 */
function countsOf(...received: ReadonlyArray<number | 'gap' | 'resume' | 'restart'>) {
  const counts = emptyLedgerCounts()
  const ledger = new Ledger(counts)
  for (const each of received) {
    if (typeof each === 'number') ledger.receive(each)
    else ledger[each]()
  }
  const { resumes, ...others } = counts
  const named = Object.entries({ ...others, ...resumes }).filter(([, count]) => count !== 0)
  return Object.fromEntries(named)
}

describe('Ledger', () => {
  test('counts nothing for consecutive numbers from any beginning', () => {
    expect(countsOf(17, 18, 19)).toEqual({})
  })

  test('counts each missing number as lost', () => {
    expect(countsOf(1, 2, 5, 6, 8)).toEqual({ lost: 3 })
  })

  test('counts a number that comes late as out of order and no longer as lost', () => {
    expect(countsOf(1, 3, 4, 2)).toEqual({ outOfOrder: 1 })
  })

  test('counts each repetition of a number as a duplicate, even after it came late', () => {
    expect(countsOf(1, 2, 2, 2, 4, 3, 3)).toEqual({ duplicates: 3, outOfOrder: 1 })
  })

  test('counts a number before the beginning as out of order, and its repetition as a duplicate', () => {
    expect(countsOf(5, 6, 2, 2, 3, 7)).toEqual({ outOfOrder: 2, duplicates: 1 })
  })

  test('attributes the numbers that are missing after a gap event to the gap, and later ones not', () => {
    expect(countsOf(1, 'gap', 5, 8)).toEqual({ lostInGaps: 3, lost: 2 })
  })

  test.each([
    ['exact', [1, 'resume', 2, 3], {}],
    ['repeated', [1, 2, 'resume', 2, 3], { duplicates: 1 }],
    ['reported', [1, 'resume', 'gap', 3], { lostInGaps: 1 }],
    ['silent', [1, 'resume', 3], { lost: 1 }],
  ] as const)('counts a resume that is %s once', (outcome, received, others) => {
    expect(countsOf(...received, 4)).toEqual({ [outcome]: 1, ...others })
  })

  test('counts no resume for a connection without a last event id, or before the first event', () => {
    expect(countsOf('resume', 1, 'restart', 2)).toEqual({})
  })

  test('counts the numbers that did not arrive by the end only for a stream that was open', () => {
    const counts = emptyLedgerCounts()
    for (const isOpen of [true, false]) {
      const ledger = new Ledger(counts)
      ledger.receive(1)
      ledger.settle(4, isOpen)
    }
    expect(counts.lost).toBe(3)
  })

  test('counts no number that was never published', () => {
    const counts = emptyLedgerCounts()
    const ledger = new Ledger(counts, [3, 7, 8])
    for (const number of [1, 4, 5]) ledger.receive(number)
    ledger.settle(9, true)
    expect(counts.lost).toBe(3)
  })

  test('counts no number that was not published, however many there are', () => {
    const counts = emptyLedgerCounts()
    const unpublished = Array.from({ length: 2000 }, (_, i) => 2 * i + 1)
    const ledger = new Ledger(counts, unpublished)
    for (let number = 0; number <= 4000; number += 2) ledger.receive(number)
    ledger.settle(4000, true)
    expect(counts.lost).toBe(0)
  })

  test('counts a resume as exact if the numbers before its first event were not published', () => {
    const counts = emptyLedgerCounts()
    const ledger = new Ledger(counts, [2, 3])
    ledger.receive(1)
    ledger.resume()
    ledger.receive(4)
    ledger.resume()
    ledger.receive(6)
    expect(counts.resumes).toMatchObject({ exact: 1, silent: 1 })
  })

  test('attributes the numbers that are missing at the end to a gap event that came last', () => {
    const counts = emptyLedgerCounts()
    const ledger = new Ledger(counts)
    ledger.receive(1)
    ledger.gap()
    ledger.settle(4, true)
    expect(counts).toMatchObject({ lost: 0, lostInGaps: 3 })
  })

  test('reports exactly the injected faults for any order of loss and repetition', () => {
    const faults = fc.array(fc.constantFrom('ok', 'lose', 'repeat', 'swap'), { maxLength: 60 })
    fc.assert(
      fc.property(faults, (list) => {
        const counts = emptyLedgerCounts()
        const ledger = new Ledger(counts)
        let number = 0
        ledger.receive(number)
        for (const fault of list) {
          number += 1
          if (fault === 'lose') continue
          if (fault === 'swap') {
            ledger.receive(number + 1)
            ledger.receive(number)
            number += 1
          } else ledger.receive(number)
          if (fault === 'repeat') ledger.receive(number)
        }
        ledger.settle(number, true)
        const count = (name: string) => list.filter((each) => each === name).length
        expect([counts.lost, counts.duplicates, counts.outOfOrder]).toEqual(
          ['lose', 'repeat', 'swap'].map(count),
        )
      }),
    )
  })
})
