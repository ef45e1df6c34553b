import { describe, expect, test } from 'vitest'
import type { RangeConnection } from '../../../../src/stores/redis/range-connection.ts'
import { AppendQueue } from '../../../../src/stores/redis/runs/append-queue.ts'
import type { Ask } from '../../../../src/stores/redis/stream-reads.ts'
import { countHeld } from '../../../support/garbage.ts'
import { settled } from '../../../support/streams.ts'

/** A queue on a connection whose replies a test sends. */
function openQueue() {
  const scripts: Array<{ readonly keys: string[]; reply: (results?: unknown[]) => void }> = []
  const ask: Ask = (_name, _hash, count, ...rest) =>
    new Promise((resolve) => {
      const keys = rest.slice(0, Number(count) - 1).map(String)
      scripts.push({ keys, reply: (results = keys.map(() => 1)) => resolve(results) })
    })
  const connection = {
    read: <T>(signal: AbortSignal, work: (ask: Ask) => Promise<T>) =>
      Promise.race([
        work(ask),
        new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      ]),
  }
  const queue = new AppendQueue(connection as RangeConnection, 'absent')
  const append = (key: string, size = 1, signal = new AbortController().signal) =>
    queue.append(key, ['', '', '', '', 'x'.repeat(size)], signal)
  return { scripts, append }
}

describe('the appends of a turn', () => {
  test('go into scripts of at most 128, of which two are in flight', async () => {
    const { scripts, append } = openQueue()
    const results = Array.from({ length: 300 }, (_, at) => append(`${at}`))
    await settled()
    expect(scripts.map(({ keys }) => keys.length)).toEqual([128, 128])
    scripts[0]?.reply()
    await settled()
    expect(scripts.map(({ keys }) => keys.length)).toEqual([128, 128, 44])
    for (const { reply } of scripts) reply()
    expect(new Set(await Promise.all(results))).toEqual(new Set([true]))
  })

  test('go into scripts of at most 256 KiB, unless a single one is larger', async () => {
    const { scripts, append } = openQueue()
    for (const [at, size] of [100_000, 100_000, 100_000, 500_000, 1].entries()) void append(`${at}`, size)
    await settled()
    expect(scripts.map(({ keys }) => keys)).toEqual([['0', '1'], ['2']])
    for (let replied = 0; replied < scripts.length; replied++) {
      scripts[replied]?.reply()
      await settled()
    }
    expect(scripts.map(({ keys }) => keys)).toEqual([['0', '1'], ['2'], ['3'], ['4']])
  })

  test('have the replies of their runs', async () => {
    const { scripts, append } = openQueue()
    const results = ['a', 'b', 'c', 'd'].map((key) => append(key))
    const settledResults = Promise.allSettled(results)
    await settled()
    scripts[0]?.reply([1, '0', 0, 'WRONGTYPE'])
    expect(await settledResults).toMatchObject([
      { value: true },
      { value: false },
      { value: false },
      { reason: { code: 'ERR_SSE_STORE' } },
    ])
  })

  test('are sent again without one that was aborted', async () => {
    const { scripts, append } = openQueue()
    const abort = new AbortController()
    const aborted = expect(append('a', 1, abort.signal)).rejects.toThrow('aborted')
    const other = append('b')
    await settled()
    abort.abort()
    await aborted
    await settled()
    expect(scripts.map(({ keys }) => keys)).toEqual([['a', 'b'], ['b']])
    scripts[1]?.reply()
    expect(await other).toBe(true)
  })

  test('are not held if they are aborted before they are sent', async () => {
    const { scripts, append } = openQueue()
    const others = Array.from({ length: 300 }, (_, at) => append(`${at}`))
    await settled()
    const abort = new AbortController()
    const aborted = Array.from({ length: 20 }, () => {
      const appended = append('a', 1, abort.signal)
      appended.catch(() => {})
      return new WeakRef(appended)
    })
    others.push(append('b'))
    await settled()
    abort.abort()
    expect(await countHeld(aborted)).toBeLessThan(2)
    for (let replied = 0; replied < 3; replied++) {
      scripts[replied]?.reply()
      await settled()
    }
    expect(scripts[2]?.keys).toEqual([...Array.from({ length: 44 }, (_, at) => `${256 + at}`), 'b'])
    expect(new Set(await Promise.all(others))).toEqual(new Set([true]))
  })
})
