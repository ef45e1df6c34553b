import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { SharedCounts } from '../../../src/stores/broker/shared-counts.ts'
import { type CountsBroker, FakeCountsDriver } from '../../support/fake-counts-driver.ts'
import { settled } from '../../support/streams.ts'

const LEASE = 3_000
const TICK = 1_000
const TIMEOUT = 300

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] })
  return () => void vi.useRealTimers()
})

/** Opens the counts of another process. */
function open(broker: CountsBroker = new Map()) {
  const driver = new FakeCountsDriver(broker)
  const counts = new SharedCounts(driver, { lease: LEASE, timeout: TIMEOUT })
  onTestFinished(() => counts.close())
  return { driver, counts }
}

const pass = async (ms: number) => {
  await vi.advanceTimersByTimeAsync(ms)
  await settled()
}

/** Whether an acquire is counted, or the message of its error. */
const outcome = (counts: SharedCounts, key: string, max = 1) =>
  counts.acquire(key, max).catch((error: Error) => error.message)

describe('commands', () => {
  test('of one turn are one, whatever their keys', async () => {
    const { driver, counts } = open()
    const keys = ['a', 'b', 'a', 'c', 'a']
    expect(await Promise.all(keys.map((key) => counts.acquire(key, 2)))).toEqual([
      true,
      true,
      true,
      true,
      false,
    ])
    expect(driver.updates).toHaveLength(1)
  })

  test('contain at most 64 keys', async () => {
    const { driver, counts } = open()
    await Promise.all(Array.from({ length: 500 }, (_, i) => counts.acquire(`key-${i}`, 1)))
    expect(driver.updates.map(({ length }) => length)).toEqual([64, 64, 64, 64, 64, 64, 64, 52])
  })

  test('are not sent for a key that this process has up to the maximum', async () => {
    const { driver, counts } = open()
    await counts.acquire('a', 1)
    expect(await counts.acquire('a', 1)).toBe(false)
    expect(driver.updates).toHaveLength(1)
  })

  test('renew the lease once at each tick, and store every count again within half of its time', async () => {
    const { driver, counts } = open()
    const keys = Array.from({ length: 100 }, (_, i) => `key-${i}`)
    await Promise.all(keys.map((key) => counts.acquire(key, 1)))
    driver.updates.length = 0
    await pass(30 * TICK)
    expect(driver.updates).toHaveLength(30)
    expect(new Set(driver.updates.flat().map(({ key }) => key)).size).toBe(100)
    expect(Math.max(...driver.updates.map(({ length }) => length))).toBeLessThanOrEqual(4)
  })

  test('are not sent any more by a process without streams', async () => {
    const { driver, counts } = open()
    await counts.acquire('a', 1)
    counts.release('a')
    await pass(TICK)
    driver.updates.length = 0
    await pass(10 * TICK)
    expect(driver.updates).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
    expect(await counts.acquire('a', 1)).toBe(true)
  })
})

describe('a broker that is slower than the clients that connect', () => {
  test('does not count a stream that waits for its turn longer than three timeouts', async () => {
    const { driver, counts } = open()
    driver.delay = TIMEOUT - 1
    const outcomes = Array.from({ length: 2_000 }, (_, i) => outcome(counts, `key-${i}`))
    const decided = vi.fn()
    void Promise.all(outcomes).then(decided)
    await pass(5 * TIMEOUT)
    expect(decided).toHaveBeenCalled()
    const results = await Promise.all(outcomes)
    expect([...new Set(results)]).toEqual([true, false])
    driver.delay = 0
    await pass(30 * TICK)
    const stored = driver.updates.flat().map(({ key }) => key)
    expect(new Set(stored).size).toBe(results.filter((each) => each === true).length)
    expect(await outcome(counts, 'key-1999')).toBe(true)
  })
})

describe('an outage', () => {
  test('rejects an acquire after the timeout, and further ones at once', async () => {
    const { driver, counts } = open()
    driver.failure = 'hangs'
    const first = outcome(counts, 'a')
    // A deadline that is due waits once more, so that a response in the socket is read before.
    await pass(2 * TIMEOUT)
    expect(await first).toBe('The broker did not respond in time.')
    expect(await outcome(counts, 'b')).toBe('The broker did not respond in time.')
    expect(driver.updates).toHaveLength(1)
  })

  test('rejects the acquires that wait behind the command that fails', async () => {
    const { driver, counts } = open()
    driver.failure = 'hangs'
    const outcomes = [1, 2, 3].map((max) => outcome(counts, 'a', max))
    await pass(2 * TIMEOUT)
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['The broker did not respond in time.']))
  })

  test('ends with the first tick to which the broker responds', async () => {
    const { driver, counts } = open()
    driver.failure = 'before'
    expect(await outcome(counts, 'a')).toBe('The broker is down.')
    await pass(TICK)
    expect(await outcome(counts, 'a')).toBe('The broker is down.')
    driver.failure = undefined
    await pass(TICK)
    expect(await outcome(counts, 'a')).toBe(true)
  })

  test('ends with the counts of streams that were added and released meanwhile', async () => {
    const { driver, counts } = open()
    for (const key of ['a', 'a', 'b']) await counts.acquire(key, 9)
    driver.failure = 'before'
    await outcome(counts, 'c')
    counts.add('c')
    counts.add('c')
    counts.release('a')
    counts.release('b')
    await pass(3 * TICK)
    driver.failure = undefined
    await pass(TICK)
    expect(['a', 'b', 'c'].map((key) => driver.stored(key))).toEqual([1, 0, 2])
  })

  test('keeps nothing of a key whose streams were added and released meanwhile', async () => {
    const { driver, counts } = open()
    await counts.acquire('a', 9)
    driver.failure = 'before'
    await outcome(counts, 'b')
    for (let i = 0; i < 1_000; i++) {
      counts.add(`key-${i}`)
      counts.release(`key-${i}`)
    }
    await pass(TICK)
    driver.failure = undefined
    driver.updates.length = 0
    await pass(TICK)
    expect(driver.updates.flat().map(({ key }) => key)).toEqual(expect.arrayContaining(['a', 'b']))
    expect(driver.updates.flat()).toHaveLength(2)
  })

  test('ends with all counts, because other processes may have dropped them', async () => {
    const broker: CountsBroker = new Map()
    const { driver, counts } = open(broker)
    for (const key of ['a', 'b', 'c']) await counts.acquire(key, 9)
    driver.failure = 'before'
    await outcome(counts, 'd')
    broker.clear()
    driver.failure = undefined
    await pass(TICK)
    expect(['a', 'b', 'c'].map((key) => driver.stored(key))).toEqual([1, 1, 1])
  })

  test('aborts the updates of a command of which one has failed', async () => {
    const { driver, counts } = open()
    driver.failure = 'before'
    expect(await outcome(counts, 'a')).toBe('The broker is down.')
    expect(driver.signals.map(({ aborted }) => aborted)).toEqual([true])
  })

  test('does not count a stream whose response was lost', async () => {
    const broker: CountsBroker = new Map()
    const [{ driver, counts }, other] = [open(broker), open(broker)]
    driver.failure = 'after'
    expect(await outcome(counts, 'a')).toBe('The response was lost.')
    expect(driver.stored('a')).toBe(1)
    driver.failure = undefined
    await pass(TICK)
    expect(driver.stored('a')).toBe(0)
    expect(await outcome(other.counts, 'a')).toBe(true)
  })
})

describe('counts that the broker may have lost', () => {
  test('are stored again when the driver reports it', async () => {
    const broker: CountsBroker = new Map()
    const { driver, counts } = open(broker)
    for (const key of ['a', 'a', 'b']) await counts.acquire(key, 9)
    broker.clear()
    driver.forget()
    await settled()
    expect(['a', 'b'].map((key) => driver.stored(key))).toEqual([2, 1])
  })

  test('are stored again by a process that was frozen for longer than its lease', async () => {
    const broker: CountsBroker = new Map()
    const { driver, counts } = open(broker)
    for (const key of ['a', 'b', 'c']) await counts.acquire(key, 9)
    broker.clear()
    const now = performance.now()
    vi.spyOn(performance, 'now').mockReturnValue(now + LEASE + TICK)
    onTestFinished(() => void vi.restoreAllMocks())
    await pass(TICK)
    expect(['a', 'b', 'c'].map((key) => driver.stored(key))).toEqual([1, 1, 1])
  })
})

describe('a key that the broker cannot count', () => {
  test('rejects its own acquires only, and is not sent again', async () => {
    const { driver, counts } = open()
    driver.broken.set('a', new Error('The key has another type.'))
    const outcomes = ['a', 'a', 'b'].map((key) => outcome(counts, key, 2))
    expect(await Promise.all(outcomes)).toEqual([
      'The key has another type.',
      'The key has another type.',
      true,
    ])
    expect(await outcome(counts, 'c')).toBe(true)
    driver.updates.length = 0
    await pass(10 * TICK)
    expect(driver.updates.flat().map(({ key }) => key)).not.toContain('a')
    driver.broken.clear()
    expect(await outcome(counts, 'a')).toBe(true)
  })

  test('is stored once the broker can count it, if it has streams', async () => {
    const { driver, counts } = open()
    driver.broken.set('a', new Error('The key has another type.'))
    counts.add('a')
    await pass(TICK)
    driver.broken.clear()
    await pass(60 * TICK)
    expect(driver.stored('a')).toBe(1)
  })
})

describe('closing', () => {
  test('rejects the acquires that wait, and later ones', async () => {
    const { driver, counts } = open()
    driver.failure = 'hangs'
    const waiting = outcome(counts, 'a')
    await settled()
    await counts.close()
    const message = 'The connection to the broker is closed.'
    expect([await waiting, await outcome(counts, 'b')]).toEqual([message, message])
    expect(driver.isClosed).toBe(true)
    counts.add('a')
    counts.release('a')
    await pass(10 * TICK)
    expect(driver.updates).toHaveLength(1)
  })
})

test('a stream that is released while its key is being stored does not count', async () => {
  const { driver, counts } = open()
  await counts.acquire('a', 2)
  const second = counts.acquire('a', 2)
  await Promise.resolve()
  counts.release('a')
  expect(await second).toBe(true)
  await settled()
  expect(driver.stored('a')).toBe(1)
})
