import { expect, test } from 'vitest'
import { EventScanner } from '../../../src/cli/load/event-scanner.ts'
import { collectGarbage } from '../../support/garbage.ts'

test('the text of a chunk is released, although an id is a part of it', () => {
  const lines = Array.from({ length: 500 }, (_, i) => `id: 1700000000000-${i}\ndata: ${'x'.repeat(90)}\n\n`)
  const chunk = Buffer.from(`${lines.join('')}data: a line that is not complete`)
  const heap = () => {
    collectGarbage()
    return process.memoryUsage().heapUsed
  }
  const before = heap()
  const scanners = Array.from({ length: 300 }, () => {
    const scanner = new EventScanner({ onEvent() {}, onHeartbeat() {}, onRetry() {} }, '')
    scanner.feed(chunk, true)
    return scanner
  })
  expect((heap() - before) / scanners.length).toBeLessThan(chunk.length / 4)
  expect(scanners[0]?.lastEventId).toBe('1700000000000-499')
})
