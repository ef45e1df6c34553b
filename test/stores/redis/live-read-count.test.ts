import { describe, expect, it } from 'vitest'
import { LiveReadCount } from '../../../src/stores/redis/live-read-count.ts'

const entries = (count: number, size: number) =>
  Array.from({ length: count }, (_, i) => ({ id: `${i + 1}-0`, channel: 'a', record: 'x'.repeat(size) }))

describe('the number of entries that a blocking read requests', () => {
  it('doubles while reads are full, up to 1 000', () => {
    const count = new LiveReadCount()
    const counts = [count.next]
    for (let read = 0; read < 7; read++) {
      count.observe(entries(count.next, 100))
      counts.push(count.next)
    }
    expect(counts).toEqual([16, 32, 64, 128, 256, 512, 1_000, 1_000])
  })

  it('is as many as fit into 4 MiB if all have the size of the largest one', () => {
    const count = new LiveReadCount()
    count.observe([...entries(500, 100), ...entries(1, 400_000)])
    expect(count.next).toBe(10)
    count.observe(entries(1, 10_000_000))
    expect(count.next).toBe(1)
  })

  it('is large again some reads after a large entry', () => {
    const count = new LiveReadCount()
    count.observe(entries(1, 1_000_000))
    for (let read = 0; read < 10; read++) count.observe(entries(500, 100))
    expect(count.next).toBe(1_000)
  })

  it('is small after a reconnect', () => {
    const count = new LiveReadCount()
    count.observe(entries(500, 100))
    count.restart()
    expect(count.next).toBe(16)
  })
})
