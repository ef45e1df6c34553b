import { atTurnEnd } from './turn.ts'

// How long all sources may be read in one turn of the event loop, in ms.
const SLICE = 10

// When a source was first read in the present turn. Undefined if none was.
let startedAt: number | undefined

/**
 * Returns a promise of the next turn of the event loop if sources were read for 10 ms in the present one, otherwise
 * undefined. A source that never waits for I/O would otherwise block the process until its end.
 */
export function turnAfterSlice(): Promise<void> | undefined {
  const now = performance.now()
  if (startedAt === undefined) {
    atTurnEnd(() => {
      startedAt = undefined
    })
    startedAt = now
  }
  return now - startedAt < SLICE ? undefined : new Promise((resolve) => void atTurnEnd(resolve))
}
