import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { StreamLimits, type StreamLimitsOptions } from '../../src/lifecycle/stream-limits.ts'
import { CountMemory, MemoryCounts } from '../../src/stores/memory/memory-counts.ts'
import type { StreamCounts } from '../../src/stores/stream-counts.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { deferred } from '../support/deferred.ts'
import { closed, fakeStream, settled } from '../support/streams.ts'

const REFUSED = { retry: 10_000 }
const keys = new WeakMap<SseStream, unknown>()
const key = (stream: SseStream) => keys.get(stream) as string

afterEach(() => void vi.restoreAllMocks())

/** Opens a stream with a key. */
function open(own?: unknown): SseStream {
  const { stream } = fakeStream()
  keys.set(stream, own)
  return stream
}

/** Closes a stream, and resolves when that was reported. */
async function close(stream: SseStream): Promise<void> {
  const isClosed = closed(stream)
  stream.destroy()
  await isClosed
}

/** Collects the errors of limits that are reported from now on. */
function errorsOf(limits: StreamLimits): unknown[] {
  const errors: unknown[] = []
  const listener = (message: unknown) => {
    const report = message as { limits: unknown; stream: unknown; error: unknown }
    if (report.limits === limits && report.stream) errors.push(report.error)
  }
  subscribe('spillway:limit:error', listener)
  onTestFinished(() => void unsubscribe('spillway:limit:error', listener))
  return errors
}

/** Counts whose broker is down. */
function brokenCounts(counts: StreamCounts = new MemoryCounts()) {
  const state = { isDown: true }
  const acquire = async (name: string, max: number) => {
    if (state.isDown) throw new Error('The broker is down.')
    return counts.acquire(name, max)
  }
  const add = vi.fn(counts.add.bind(counts))
  const release = vi.fn(counts.release.bind(counts))
  return { ...{ acquire, add, release, close: () => {} }, state }
}

describe('maxStreams', () => {
  test('refuses a stream above it, and ends no open one', async () => {
    const limits = new StreamLimits({ maxStreams: 2 })
    const streams = [open(), open(), open()]
    const results = []
    for (const stream of streams) results.push(await limits.admit(stream))
    expect(results).toEqual([undefined, undefined, REFUSED])
    expect(streams.map((stream) => stream.closed)).toEqual([false, false, false])
    expect(limits.size).toBe(2)
  })

  test('admits a stream once another one is closed', async () => {
    const limits = new StreamLimits({ maxStreams: 1 })
    const first = open()
    await limits.admit(first)
    expect(await limits.admit(open())).toEqual(REFUSED)
    await close(first)
    expect(limits.size).toBe(0)
    expect(await limits.admit(open())).toBeUndefined()
  })

  test('holds for all processes that share the counts', async () => {
    const memory = new CountMemory()
    const [a, b] = [1, 2].map(() => new StreamLimits({ maxStreams: 2, counts: new MemoryCounts(memory) }))
    expect(await a?.admit(open())).toBeUndefined()
    expect(await b?.admit(open())).toBeUndefined()
    expect(await a?.admit(open())).toEqual(REFUSED)
    expect([a?.size, b?.size]).toEqual([1, 1])
  })

  test('counts apart from another limit with the same counts and another name', async () => {
    const counts = new MemoryCounts()
    const [a, b] = ['a', 'b'].map((name) => new StreamLimits({ maxStreams: 1, counts, name }))
    expect(await a?.admit(open())).toBeUndefined()
    expect(await b?.admit(open())).toBeUndefined()
    expect(await a?.admit(open())).toEqual(REFUSED)
  })
})

describe('maxPerKey', () => {
  test('refuses a stream above it, and admits those with other keys', async () => {
    const limits = new StreamLimits({ maxPerKey: 1, key })
    expect(await limits.admit(open('a'))).toBeUndefined()
    expect(await limits.admit(open('a'))).toEqual(REFUSED)
    expect(await limits.admit(open('b'))).toBeUndefined()
  })

  test('does not take room from maxStreams for a stream that it refuses', async () => {
    const memory = new CountMemory()
    const limits = new StreamLimits({ maxStreams: 5, maxPerKey: 1, key, counts: new MemoryCounts(memory) })
    for (const own of ['a', 'a', 'a', 'b']) await limits.admit(open(own))
    expect(memory.totals.get('streams.all')).toBe(2)
  })

  test('does not count a stream that maxStreams refuses', async () => {
    const memory = new CountMemory()
    const limits = new StreamLimits({ maxStreams: 1, maxPerKey: 2, key, counts: new MemoryCounts(memory) })
    for (const own of ['a', 'b', 'b', 'b']) await limits.admit(open(own))
    expect(memory.totals.get('streams.key.b')).toBeUndefined()
  })

  test('does not apply to a stream without a key', async () => {
    const limits = new StreamLimits({ maxStreams: 3, maxPerKey: 1, key })
    const results = []
    for (let i = 0; i < 4; i++) results.push(await limits.admit(open(undefined)))
    expect(results).toEqual([undefined, undefined, undefined, REFUSED])
  })

  test.each([[null], [''], [7], [{}], [Promise.resolve('a')]])(
    'refuses a stream whose key is %j, and reports it',
    async (own) => {
      const limits = new StreamLimits({ maxPerKey: 9, key })
      const errors = errorsOf(limits)
      expect(await limits.admit(open(own))).toEqual(REFUSED)
      expect(errors).toEqual([expect.objectContaining({ code: 'ERR_SSE_LIMIT' })])
      expect(limits.size).toBe(0)
    },
  )

  test('refuses a stream for which the key function throws, and reports it', async () => {
    const error = new Error('no user')
    const fail = () => {
      throw error
    }
    const limits = new StreamLimits({ maxPerKey: 9, key: fail, retry: 500 })
    const errors = errorsOf(limits)
    expect(await limits.admit(open())).toEqual({ retry: 500 })
    expect(errors).toEqual([error])
  })

  test('refuses a stream whose key is a promise that rejects, without an unhandled rejection', async () => {
    const limits = new StreamLimits({ maxPerKey: 9, key: (async () => Promise.reject(new Error())) as never })
    const errors = errorsOf(limits)
    expect(await limits.admit(open())).toEqual(REFUSED)
    // Vitest fails a run with an unhandled rejection.
    await settled()
    expect(errors).toEqual([expect.objectContaining({ code: 'ERR_SSE_LIMIT' })])
  })

  test('prints the first error if nothing subscribes to the channel', async () => {
    const print = vi.spyOn(console, 'error').mockImplementation(() => {})
    const limits = new StreamLimits({ maxPerKey: 9, key, name: 'users' })
    for (const own of [7, 8]) await limits.admit(open(own))
    expect(print).toHaveBeenCalledOnce()
    expect(print.mock.calls[0]?.[0]).toContain('"users"')
  })
})

test.each([
  [undefined, 'Expected an SseStream, not undefined.'],
  [null, 'Expected an SseStream, not null.'],
  [{ headers: {}, method: 'GET' }, 'Expected an SseStream, not an object.'],
])('admit rejects %j, which is no stream', async (value, message) => {
  const limits = new StreamLimits({ maxStreams: 1 })
  await expect(limits.admit(value as never)).rejects.toMatchObject({ code: 'ERR_SSE_STREAM', message })
  expect(limits.size).toBe(0)
})

test('a name may have 32 characters', async () => {
  const limits = new StreamLimits({ maxStreams: 1, name: 'a'.repeat(32) })
  expect(await limits.admit(open())).toBeUndefined()
})

describe('a stream', () => {
  test('is counted once, however often it is admitted', async () => {
    const limits = new StreamLimits({ maxStreams: 1 })
    const stream = open()
    expect(await Promise.all([limits.admit(stream), limits.admit(stream)])).toEqual([undefined, undefined])
    expect(await limits.admit(stream)).toBeUndefined()
    await close(stream)
    expect(await limits.admit(open())).toBeUndefined()
    expect(await limits.admit(open())).toEqual(REFUSED)
  })

  test('that is closed is not counted', async () => {
    const limits = new StreamLimits({ maxStreams: 1 })
    const stream = open()
    await close(stream)
    expect(await limits.admit(stream)).toBeUndefined()
    expect(limits.size).toBe(0)
  })

  test('that closes while it is being counted is not counted', async () => {
    const [memory, gate] = [new CountMemory(), deferred()]
    const counts = new MemoryCounts(memory)
    const acquire = async (name: string, max: number) => {
      await gate.promise
      return counts.acquire(name, max)
    }
    const limits = new StreamLimits({
      ...{ maxStreams: 1, maxPerKey: 1, key },
      counts: { acquire, add: () => {}, release: (name) => counts.release(name), close: () => {} },
    })
    const stream = open('a')
    const admitted = limits.admit(stream)
    await close(stream)
    gate.resolve(undefined)
    await admitted
    expect(memory.totals.size).toBe(0)
    expect(limits.size).toBe(0)
  })
})

test('a stream that closes while it is being counted is not passed to the next limit', async () => {
  const [acquired, gate] = [vi.fn(), deferred<boolean>()]
  const counts = new MemoryCounts()
  const acquire = (name: string) => {
    acquired(name)
    return gate.promise
  }
  const limits = new StreamLimits({
    ...{ maxStreams: 1, maxPerKey: 1, key },
    counts: { acquire, add: counts.add, release: counts.release.bind(counts), close: () => {} },
  })
  const stream = open('a')
  const admitted = limits.admit(stream)
  await close(stream)
  gate.resolve(true)
  await admitted
  expect(acquired.mock.calls).toEqual([['streams.key.a']])
})

test('a failure of counts is not reported for a stream that has closed meanwhile', async () => {
  const counts = new MemoryCounts()
  const add = vi.fn()
  const gate = deferred<boolean>()
  const limits = new StreamLimits({
    maxStreams: 1,
    counts: { acquire: () => gate.promise, add, release: counts.release.bind(counts), close: () => {} },
  })
  const errors = errorsOf(limits)
  const stream = open()
  const admitted = limits.admit(stream)
  await close(stream)
  gate.reject(new Error('The connection is closed.'))
  expect(await admitted).toBeUndefined()
  expect([errors, add.mock.calls, limits.size]).toEqual([[], [], 0])
})

describe('counts that cannot be used', () => {
  test('admit a stream, and count it until it closes', async () => {
    const memory = new CountMemory()
    const counts = brokenCounts(new MemoryCounts(memory))
    const limits = new StreamLimits({ maxStreams: 1, counts })
    const errors = errorsOf(limits)
    const streams = [open(), open()]
    for (const stream of streams) expect(await limits.admit(stream)).toBeUndefined()
    expect(errors).toEqual([new Error('The broker is down.'), new Error('The broker is down.')])
    expect(memory.totals.get('streams.all')).toBe(2)
    counts.state.isDown = false
    expect(await limits.admit(open())).toEqual(REFUSED)
    for (const stream of streams) await close(stream)
    expect(memory.totals.size).toBe(0)
    expect(await limits.admit(open())).toBeUndefined()
  })

  test('refuse a stream with onOutage refuse, and do not count it', async () => {
    const counts = brokenCounts()
    const limits = new StreamLimits({ maxStreams: 1, counts, onOutage: 'refuse' })
    const errors = errorsOf(limits)
    expect(await limits.admit(open())).toEqual(REFUSED)
    await settled()
    expect(errors).toHaveLength(1)
    expect(counts.add).not.toHaveBeenCalled()
    expect(counts.release).not.toHaveBeenCalled()
  })
})

test.each<[message: string, options: StreamLimitsOptions]>([
  ['maxStreams, or maxPerKey', {}],
  ['need each other', { maxPerKey: 1 }],
  ['need each other', { maxStreams: 1, key }],
  ['Option maxStreams', { maxStreams: 0 }],
  ['Option maxPerKey', { maxPerKey: -1, key }],
  ['Option key', { maxPerKey: 1, key: 'user' as never }],
  ['Option counts', { maxStreams: 1, counts: new Map() as never }],
  [
    'Option name must be a name of 1 to 32 letters, digits, _ and -, not "a.b"',
    { maxStreams: 1, name: 'a.b' },
  ],
  ['Option name must be a name of 1 to 32', { maxStreams: 1, name: 'a'.repeat(33) }],
  ['Option name must be a name of 1 to 32', { maxStreams: 1, name: '' }],
  ['Option name must be a name of 1 to 32', { maxStreams: 1, name: null as never }],
  ['Option name must be a name of 1 to 32', { maxStreams: 1, name: 5 as never }],
  ['Option name must be a name of 1 to 32', { maxStreams: 1, name: true as never }],
  ['Option retry', { maxStreams: 1, retry: 0 }],
  ['Option onOutage', { maxStreams: 1, onOutage: 'ignore' as never }],
  ['"max"', { max: 1 } as never],
])('options are checked: %s', (message, options) => {
  const create = () => new StreamLimits(options)
  expect(create).toThrow(expect.objectContaining({ code: 'ERR_SSE_OPTION' }))
  expect(create).toThrow(message)
})
