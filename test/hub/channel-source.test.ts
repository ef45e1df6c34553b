import { setTimeout as pause } from 'node:timers/promises'
import { createClient } from 'redis'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { Runs } from '../../src/runs/runs.ts'
import type { EventStore } from '../../src/stores/event-store.ts'
import { memoryRuns } from '../../src/stores/memory/memory-runs.ts'
import { redisRuns } from '../../src/stores/redis/index.ts'
import { deferred } from '../support/deferred.ts'
import { eventsOf, sseError } from '../support/hub.ts'
import { valuesOf } from '../support/process-errors.ts'
import { endlessSource, openRuns, openTwoRuns, PushSource, RestlessSource } from '../support/runs.ts'
import { fakeStream, settled } from '../support/streams.ts'

const errorsOf = (hub: Hub) => {
  const errors: unknown[] = []
  hub.on('error', (error) => errors.push(error))
  return errors
}

/** Resolves when a signal is aborted. */
const aborted = (signal: AbortSignal | undefined) =>
  new Promise<void>((resolve) => {
    if (signal?.aborted) resolve()
    else signal?.addEventListener('abort', () => resolve())
  })

describe('a channel', () => {
  test('counts its streams, and reports its first and its last one', async () => {
    const hub = new Hub()
    const a = hub.channel('a')
    const log: string[] = []
    hub.on('active', (channel) => log.push(`active ${channel}`))
    hub.on('idle', (channel) => log.push(`idle ${channel}`))
    const [first, second] = [fakeStream(), fakeStream()]
    const unsubscribe = a.subscribe(first.stream)
    a.subscribe(first.stream, { filter: () => true })
    hub.subscribe(second.stream, ['a', 'b'])
    expect([a.size, hub.channel('b').size, hub.channel('c').size]).toEqual([2, 1, 0])
    await settled()
    expect(log).toEqual(['active a', 'active b'])
    unsubscribe()
    unsubscribe()
    expect(a.size).toBe(2)
    second.transport.lose()
    await settled()
    expect(a.size).toBe(1)
    first.stream.destroy()
    await settled()
    expect(a.size).toBe(0)
    expect(log).toEqual(['active a', 'active b', 'idle b', 'idle a'])
  })

  test('keeps its other streams when a stream that has ended unsubscribes', async () => {
    const hub = new Hub()
    const a = hub.channel('a')
    const idle = vi.fn()
    hub.on('idle', idle)
    const [first, second] = [fakeStream(), fakeStream()]
    first.stream.on('close', a.subscribe(first.stream))
    a.subscribe(second.stream)
    first.transport.lose()
    await settled()
    expect(a.size).toBe(1)
    expect(idle).not.toHaveBeenCalled()
    second.transport.lose()
    await settled()
    expect(idle).toHaveBeenCalledExactlyOnceWith('a')
  })

  test('counts a stream that unsubscribes from some of its channels', () => {
    const hub = new Hub()
    const { stream } = fakeStream()
    const fromA = hub.subscribe(stream, 'a')
    const fromB = hub.subscribe(stream, ['b', 'a'])
    fromA()
    expect([hub.channel('a').size, hub.channel('b').size]).toEqual([1, 1])
    fromB()
    expect([hub.channel('a').size, hub.channel('b').size, hub.size]).toEqual([0, 0, 0])
  })
})

describe('the source of a channel', () => {
  test('runs while the channel has subscribers, and for the linger time', async () => {
    const hub = new Hub()
    const source = new PushSource()
    const open = vi.fn((signal: AbortSignal) => source.read(signal))
    const a = hub.channel('a', { source: open, linger: 50 })
    await settled()
    expect(open).not.toHaveBeenCalled()
    const first = fakeStream()
    a.subscribe(first.stream)
    source.push({ data: 1 })
    await settled()
    expect(eventsOf(first.transport)).toEqual(['message 1'])
    first.stream.destroy()
    await settled()
    const second = fakeStream()
    hub.subscribe(second.stream, 'a')
    source.push({ data: 2 })
    await settled()
    expect(eventsOf(second.transport)).toEqual(['message 2'])
    expect(open).toHaveBeenCalledTimes(1)
    second.stream.destroy()
    await vi.waitFor(() => expect(source.isClosed).toBe(true))
    await hub.shutdown()
  })

  test('does not block the process if it yields events without a pause', async () => {
    const source = new RestlessSource()
    const { stream } = fakeStream()
    new Hub().channel('a', { source: (signal) => source.read(signal), linger: 1 }).subscribe(stream)
    await pause(20)
    expect(source.isOver).toBe(false)
    expect(stream._connection.sentEvents).toBeGreaterThan(10)
    stream.destroy()
  })

  test('is opened again only after the previous one is closed', async () => {
    const hub = new Hub()
    const closing = deferred<void>()
    const signals: AbortSignal[] = []
    let running = 0
    let most = 0
    async function* source(signal: AbortSignal) {
      signals.push(signal)
      running += 1
      most = Math.max(most, running)
      try {
        await aborted(signal)
        yield { data: 'late' }
      } finally {
        await closing.promise
        running -= 1
      }
    }
    const a = hub.channel('a', { source, linger: 0 })
    const unsubscribe = a.subscribe(fakeStream().stream)
    await settled()
    unsubscribe()
    await aborted(signals[0])
    a.subscribe(fakeStream().stream)
    await settled()
    expect([signals.length, running]).toEqual([1, 1])
    closing.resolve()
    await vi.waitFor(() => expect(signals.length).toBe(2))
    expect(most).toBe(1)
    await hub.shutdown({ grace: 0 })
    expect(running).toBe(0)
  })

  test('delays neither the next one nor a shutdown while it is opened, and is closed unread', async () => {
    const hub = new Hub()
    const late = deferred<AsyncGenerator>()
    const signals: AbortSignal[] = []
    const source = vi.fn((signal: AbortSignal): Promise<never> => {
      signals.push(signal)
      return signals.length === 1 ? (late.promise as never) : new Promise(() => {})
    })
    const a = hub.channel('a', { source, linger: 0 })
    const unsubscribe = a.subscribe(fakeStream().stream)
    await settled()
    unsubscribe()
    await aborted(signals[0])
    const { stream, transport } = fakeStream()
    a.subscribe(stream)
    await settled()
    expect(source).toHaveBeenCalledTimes(2)
    const iterator = { next: vi.fn(), return: vi.fn(async () => ({ done: true, value: undefined })) }
    late.resolve({ [Symbol.asyncIterator]: () => iterator } as never)
    await settled()
    expect(iterator.next).not.toHaveBeenCalled()
    expect(iterator.return).toHaveBeenCalledTimes(1)
    await hub.shutdown({ grace: 0 })
    expect(eventsOf(transport)).toEqual([])
  })

  test('delays the next one and a shutdown for about 5 s if it does not close', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const hub = new Hub()
    const source = vi.fn(async function* (_signal: AbortSignal): AsyncGenerator<never> {
      await new Promise(() => {})
    })
    const a = hub.channel('a', { source, linger: 0 })
    const unsubscribe = a.subscribe(fakeStream().stream)
    await settled()
    unsubscribe()
    await vi.advanceTimersByTimeAsync(0)
    expect(source.mock.calls[0]?.[0].aborted).toBe(true)
    a.subscribe(fakeStream().stream)
    await vi.advanceTimersByTimeAsync(4_999)
    expect(source).toHaveBeenCalledTimes(1)
    await vi.advanceTimersByTimeAsync(200)
    expect(source).toHaveBeenCalledTimes(2)
    const isShutDown = vi.fn()
    void hub.shutdown({ grace: 0 }).then(isShutDown)
    await settled()
    await vi.advanceTimersByTimeAsync(4_999)
    expect(isShutDown).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(200)
    await settled()
    expect(isShutDown).toHaveBeenCalledTimes(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('is started again after it has failed, and its error is emitted', async () => {
    const hub = new Hub()
    const errors = errorsOf(hub)
    let calls = 0
    const source = () => {
      calls += 1
      if (calls === 1) throw new Error('upstream')
      return [{ data: calls }]
    }
    const { stream, transport } = fakeStream()
    hub.channel('a', { source }).subscribe(stream)
    await vi.waitFor(() => expect(eventsOf(transport)).toContain('message 2'), 10_000)
    expect(errors).toEqual([expect.objectContaining({ message: 'upstream' })])
    await hub.shutdown({ grace: 0 })
  })

  test('runs after a listener of its error has thrown, whose exception is uncaught', async () => {
    const hub = new Hub()
    const uncaught = valuesOf('uncaughtException')
    const unhandled = valuesOf('unhandledRejection')
    hub.on('error', () => {
      throw new Error('listener')
    })
    const source = vi.fn((_signal: AbortSignal): [] => {
      throw new Error('upstream')
    })
    const a = hub.channel('a', { source, linger: 0 })
    const unsubscribe = a.subscribe(fakeStream().stream)
    await vi.waitFor(() => expect(uncaught.length + unhandled.length).toBe(1))
    expect(uncaught).toEqual([new Error('listener')])
    unsubscribe()
    await aborted(source.mock.calls[0]?.[0])
    a.subscribe(fakeStream().stream)
    await settled()
    expect(source).toHaveBeenCalledTimes(2)
    await hub.shutdown({ grace: 0 })
    expect(unhandled).toEqual([])
  })

  test('starts for a channel that has subscribers already', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    hub.channel('a').subscribe(stream)
    hub.channel('a', { source: () => [{ data: 1 }] })
    await settled()
    expect(eventsOf(transport)).toEqual(['message 1'])
    await hub.shutdown({ grace: 0 })
  })

  test('starts each time a stream is subscribed by the name, although the channel object was discarded', async () => {
    const hub = new Hub()
    const source = endlessSource()
    hub.channel('a', { source, linger: 0 })
    for (let time = 1; time <= 2; time++) {
      const unsubscribe = hub.subscribe(fakeStream().stream, ['a', 'b'])
      await settled()
      expect(source).toHaveBeenCalledTimes(time)
      unsubscribe()
      await aborted(source.mock.lastCall?.[0])
      await settled()
    }
  })

  test('is that of the first channel object while the hub keeps it', async () => {
    const hub = new Hub()
    const [first, second] = [endlessSource(), endlessSource()]
    const channels = [hub.channel('a', { source: first }), hub.channel('a', { source: second })]
    for (const channel of channels) channel.subscribe(fakeStream().stream)
    await settled()
    expect(first).toHaveBeenCalledTimes(1)
    expect(second).not.toHaveBeenCalled()
    await hub.shutdown({ grace: 0 })
  })

  /** A store that processes share. */
  const sharedStore = () =>
    Object.assign(Object.create(new Hub()._store), { isShared: true, open: () => {} }) as EventStore

  test('needs runs for a store that processes share', () => {
    const hub = new Hub({ store: sharedStore() })
    const source = () => []
    expect(() => hub.channel('a', { source })).toThrow(sseError('ERR_SSE_OPTION'))
    expect(() => new Hub({ runs: {} as never })).toThrow(sseError('ERR_SSE_OPTION'))
    expect(() => hub.channel('a', { source: 7 as never })).toThrow(sseError('ERR_SSE_OPTION'))
    expect(() => hub.channel('a', { linger: -1 })).toThrow(sseError('ERR_SSE_OPTION'))
  })

  test('needs runs that processes share for a store that they share', () => {
    const hub = new Hub({ store: sharedStore(), runs: openRuns() })
    expect(() => hub.channel('a', { source: () => [] })).toThrow(
      expect.objectContaining({
        code: 'ERR_SSE_OPTION',
        message: 'The store is shared, so a source needs the option runs of the hub, on a shared store.',
      }),
    )
  })

  test.each([
    ['on Redis', redisRuns(createClient())],
    ['of another kind', Object.assign(memoryRuns(), { isShared: true })],
  ])('accepts runs %s for a store that processes share', (_, store) => {
    const hub = new Hub({ store: sharedStore(), runs: new Runs({ store }) })
    expect(() => hub.channel('a', { source: () => [] })).not.toThrow()
  })

  test('runs in one process of all, and moves to another one', async () => {
    const runs = openTwoRuns({ lease: 1_000 })
    let [running, most] = [0, 0]
    const opened: string[] = []
    const hubOf = (name: 'first' | 'second') => {
      const hub = new Hub({ runs: runs[name] })
      async function* source(signal: AbortSignal) {
        running += 1
        most = Math.max(most, running)
        opened.push(name)
        try {
          yield { data: name }
          await new Promise((resolve) => signal.addEventListener('abort', resolve))
        } finally {
          running -= 1
        }
      }
      return { hub, channel: hub.channel('a', { source, linger: 40 }) }
    }
    const [one, two] = [hubOf('first'), hubOf('second')]
    const unsubscribeOne = one.channel.subscribe(fakeStream().stream)
    const unsubscribeTwo = two.channel.subscribe(fakeStream().stream)
    await vi.waitFor(() => expect(running).toBe(1), 5_000)
    unsubscribeOne()
    await new Promise((resolve) => setTimeout(resolve, 200))
    // The other process still has a subscriber.
    expect(running).toBe(1)
    unsubscribeTwo()
    await vi.waitFor(() => expect(running).toBe(0), 5_000)
    two.channel.subscribe(fakeStream().stream)
    await vi.waitFor(() => expect(running).toBe(1), 5_000)
    expect(opened).toEqual(['first', 'second'])
    expect(most).toBe(1)
    await Promise.all([one.hub.shutdown({ grace: 0 }), two.hub.shutdown({ grace: 0 })])
  })

  test('emits its error as that of the hub, also if only one process runs it', async () => {
    const runs = openRuns()
    const hub = new Hub({ runs })
    const errors = errorsOf(hub)
    const source = vi.fn(() => {
      if (source.mock.calls.length === 1) throw new Error('upstream')
      return [{ data: 'again' }]
    })
    const { stream, transport } = fakeStream()
    hub.channel('a', { source }).subscribe(stream)
    await vi.waitFor(() => expect(eventsOf(transport)).toContain('message again'), 10_000)
    expect(errors).toEqual([expect.objectContaining({ message: 'upstream' })])
    expect(runs.errors).toEqual([])
    await hub.shutdown({ grace: 0 })
  })

  test.each(['a'.repeat(255), 'a\tb'])(
    'runs in one process although its channel cannot be the id of a run: %j',
    async (name) => {
      const hub = new Hub({ runs: openRuns() })
      const errors = errorsOf(hub)
      const source = endlessSource()
      hub.channel(name, { source }).subscribe(fakeStream().stream)
      await vi.waitFor(() => expect(source).toHaveBeenCalledTimes(1), 5_000)
      expect(errors).toEqual([])
      await hub.shutdown({ grace: 0 })
    },
  )

  test('is not confused with a later run of the same id at a shutdown', async () => {
    const runs = openRuns()
    const hub = new Hub({ runs })
    const source = endlessSource()
    const unsubscribe = hub.channel('a', { source, linger: 1 }).subscribe(fakeStream().stream)
    await settled()
    unsubscribe()
    await aborted(source.mock.lastCall?.[0])
    await expect.poll(() => runs.get('channel a')).toBe(undefined)
    const later = new PushSource()
    await runs.start('channel a', (signal) => later.read(signal))
    runs._stopChannels()
    await settled()
    expect(later.isClosed).toBe(false)
    await hub.shutdown({ grace: 0 })
  })

  test('is stopped at the shutdown of the runs', async () => {
    const runs = openRuns()
    const hub = new Hub({ runs })
    const errors = errorsOf(hub)
    const source = new PushSource()
    hub.channel('a', { source: (signal) => source.read(signal) }).subscribe(fakeStream().stream)
    await settled()
    expect(runs.running).toBe(1)
    await hub.shutdown({ grace: 0 })
    await runs.shutdown({ grace: 0 })
    expect(source.isClosed).toBe(true)
    expect(errors).toEqual([])
  })
})
