import { afterAll, afterEach, describe, expect, test } from 'vitest'
import type { StreamCounts } from '../../src/stores/stream-counts.ts'

/** The counts of a process. */
export interface CountsProcess {
  readonly counts: StreamCounts
  /** Ends the process without `close`. */
  die(): unknown
}

/** Opens the counts of another process on the same broker. */
export type OpenCounts = (lease: number) => Promise<CountsProcess>

// In ms. A busy machine may not renew a short one in time.
const LEASE = 60_000
const SHORT_LEASE = 3_000

// Keys that a client may choose, and that a store has to encode.
const KEYS = [
  '2001:db8::1',
  '127.0.0.1',
  'a b',
  'é',
  '*',
  '>',
  'x.y',
  '.',
  '{x}',
  '}{',
  "'; --",
  '\r\nFLUSHALL\r\n',
  '\0',
  '\ud800',
  '\ud801',
  '\u{1f600}',
  '__proto__',
  'constructor',
  'x'.repeat(60),
  'x'.repeat(61),
  'x'.repeat(100_000),
]

let count = 0
const newKey = () => `key-${++count}-${process.pid}-${Date.now()}`

/** Polls until an acquire succeeds, because a release takes a moment. */
const eventually = (acquire: () => unknown) => expect.poll(acquire, { interval: 10 }).toBe(true)

/** Defines the tests that all `StreamCounts` pass. `close` ends what the suite has started. */
export function countsContract(name: string, connect: () => Promise<OpenCounts>, close = async () => {}) {
  describe(name, () => {
    const opened: StreamCounts[] = []
    const open = async (lease = LEASE) => {
      const process = await (await connect())(lease)
      opened.push(process.counts)
      return process
    }
    const openBoth = async () => [(await open()).counts, (await open()).counts] as const
    afterEach(async () => {
      for (const counts of opened.splice(0)) await counts.close()
    })
    afterAll(close)

    test('counts up to the maximum of all processes', async () => {
      const [a, b] = await openBoth()
      const key = newKey()
      expect([await a.acquire(key, 3), await b.acquire(key, 3), await a.acquire(key, 3)]).toEqual([
        true,
        true,
        true,
      ])
      expect([await a.acquire(key, 3), await b.acquire(key, 3)]).toEqual([false, false])
      expect(await b.acquire(newKey(), 3)).toBe(true)
    })

    test('counts a stream again after another one was released', async () => {
      const [a, b] = await openBoth()
      const key = newKey()
      expect(await a.acquire(key, 1)).toBe(true)
      expect(await b.acquire(key, 1)).toBe(false)
      a.release(key)
      await eventually(() => b.acquire(key, 1))
      expect(await a.acquire(key, 1)).toBe(false)
    })

    test('counts a stream of a process that has others after another process has released one', async () => {
      const [a, b] = await openBoth()
      const key = newKey()
      expect([await a.acquire(key, 2), await b.acquire(key, 2), await a.acquire(key, 2)]).toEqual([
        true,
        true,
        false,
      ])
      b.release(key)
      await eventually(() => a.acquire(key, 2))
      a.release(key)
      await eventually(() => b.acquire(key, 2))
      expect([await a.acquire(key, 2), await b.acquire(key, 2)]).toEqual([false, false])
    })

    test('counts a stream again at once that the same process has released', async () => {
      const { counts } = await open()
      const key = newKey()
      for (let round = 0; round < 20; round++) {
        expect(await counts.acquire(key, 1)).toBe(true)
        counts.release(key)
      }
    })

    test('counts as many streams as the maximum if two processes acquire at the same time', async () => {
      const both = await openBoth()
      const keys = [newKey(), newKey(), newKey()]
      for (const key of keys) {
        const acquires = both.flatMap((counts) => Array.from({ length: 40 }, () => counts.acquire(key, 7)))
        const results = await Promise.all(acquires)
        expect(results.filter(Boolean)).toHaveLength(7)
      }
    })

    test('never counts more than the maximum while streams open and close', async () => {
      const both = await openBoth()
      const key = newKey()
      let [open, most] = [0, 0]
      const client = async (counts: StreamCounts) => {
        for (let round = 0; round < 30; round++) {
          if (!(await counts.acquire(key, 5))) continue
          open += 1
          most = Math.max(most, open)
          await Promise.resolve()
          open -= 1
          counts.release(key)
        }
      }
      await Promise.all(both.flatMap((counts) => Array.from({ length: 8 }, () => client(counts))))
      expect(most).toBeGreaterThan(1)
      expect(most).toBeLessThanOrEqual(5)
      await eventually(() => both[0].acquire(key, 1))
    })

    test('uses the maximum of each acquire', async () => {
      const { counts } = await open()
      const key = newKey()
      const results = [1, 3, 3, 2, 4, 4].map((max) => counts.acquire(key, max))
      expect(await Promise.all(results)).toEqual([true, true, true, false, true, false])
    })

    test('ignores the release of a key without a count', async () => {
      const [a, b] = await openBoth()
      const key = newKey()
      a.release(key)
      expect(await b.acquire(key, 1)).toBe(true)
      a.release(key)
      a.release(newKey())
      expect(await a.acquire(key, 1)).toBe(false)
      b.release(key)
      b.release(key)
      await eventually(() => a.acquire(key, 1))
      expect(await b.acquire(key, 1)).toBe(false)
    })

    test('counts a stream that is added above the maximum', async () => {
      const [a, b] = await openBoth()
      const key = newKey()
      expect(await a.acquire(key, 1)).toBe(true)
      a.add(key)
      a.release(key)
      expect(await a.acquire(key, 1)).toBe(false)
      expect(await b.acquire(key, 1)).toBe(false)
      a.release(key)
      await eventually(() => b.acquire(key, 1))
    })

    test('keeps any keys apart', async () => {
      const [a, b] = await openBoth()
      for (const key of KEYS) expect([key, await a.acquire(key, 1)]).toEqual([key, true])
      for (const key of KEYS) expect([key, await b.acquire(key, 1)]).toEqual([key, false])
      for (const key of KEYS) a.release(key)
      for (const key of KEYS) await eventually(() => b.acquire(key, 1))
    })

    test('drops the counts of a process that is closed', async () => {
      const [a, b] = await openBoth()
      const key = newKey()
      expect(await a.acquire(key, 1)).toBe(true)
      expect(await b.acquire(key, 1)).toBe(false)
      await a.close()
      expect(await b.acquire(key, 1)).toBe(true)
      a.release(key)
      await a.close()
    })

    test('drops the counts of a process that has died', async () => {
      const [dead, other] = [await open(SHORT_LEASE), await open(SHORT_LEASE)]
      const key = newKey()
      expect(await dead.counts.acquire(key, 1)).toBe(true)
      expect(await other.counts.acquire(key, 1)).toBe(false)
      await dead.die()
      await eventually(() => other.counts.acquire(key, 1))
    })

    test('keeps the counts of a process that lives for longer than its lease', async () => {
      const [a, b] = [await open(SHORT_LEASE), await open(SHORT_LEASE)]
      const [key, other] = [newKey(), newKey()]
      expect(await a.counts.acquire(key, 1)).toBe(true)
      // Its lease ends after that of the other process would.
      expect(await b.counts.acquire(other, 1)).toBe(true)
      await b.die()
      await eventually(() => a.counts.acquire(other, 1))
      const third = await open()
      expect(await third.counts.acquire(key, 1)).toBe(false)
    })
  })
}
