import { createClient } from 'redis'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { SseEvent } from '../../src/event/event.ts'
import type { Merge } from '../../src/runs/merge.ts'
import type { Run } from '../../src/runs/run.ts'
import type { RunEnd } from '../../src/runs/run-end.ts'
import { Runs } from '../../src/runs/runs.ts'
import { MemoryRuns, memoryRuns } from '../../src/stores/memory/memory-runs.ts'
import { redisRuns } from '../../src/stores/redis/index.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { deferred } from '../support/deferred.ts'
import { sseError } from '../support/hub.ts'
import { valuesOf } from '../support/process-errors.ts'
import { closed, idsOf, openRuns, openTwoRuns, PushSource, runEventsOf, text } from '../support/runs.ts'
import { fakeStream, settled } from '../support/streams.ts'

const DONE = 'end {"reason":"done"}'

async function* words(...all: string[]) {
  for (const word of all) yield text(word)
}

describe('new Runs', () => {
  test.each([
    ['memory', memoryRuns],
    ['Redis', () => redisRuns(createClient())],
  ])('throws ERR_SSE_OPTION for a store in %s in place of its options', (_, newStore) => {
    expect(() => new Runs(newStore() as never)).toThrow(
      expect.objectContaining({
        code: 'ERR_SSE_OPTION',
        message: 'Pass the store as an option, for example new Runs({ store }).',
      }),
    )
  })

  test.each([
    ...['start', 'append', 'find', 'read', 'watch', 'isWatched', 'remove', 'serve', 'renew', 'isAlive'],
    ...['requestStop', 'close'],
  ])('throws ERR_SSE_OPTION for a store without %s', (name) => {
    const store = Object.assign(memoryRuns(), { [name]: undefined })
    expect(() => new Runs({ store })).toThrow(sseError('ERR_SSE_OPTION'))
  })

  test.each([
    ['memory', memoryRuns],
    ['Redis', () => redisRuns(createClient())],
  ])('throws ERR_SSE_OPTION for a store in %s that belongs to another Runs', (_, newStore) => {
    const store = newStore()
    new Runs({ store })
    expect(() => new Runs({ store })).toThrow(
      expect.objectContaining({
        code: 'ERR_SSE_OPTION',
        message: 'This store already belongs to a Runs; create one store per Runs.',
      }),
    )
  })
})

describe('Runs.start', () => {
  test('calls the source once, and returns the run to other callers', async () => {
    const { first, second } = openTwoRuns()
    const source = vi.fn((signal: AbortSignal) => new PushSource().read(signal))
    const runs = await Promise.all([first, second, first].map((each) => each.start('a', source)))
    expect(source).toHaveBeenCalledTimes(1)
    expect(runs.map(({ id }) => id)).toEqual(['a', 'a', 'a'])
    expect(runs.filter(({ isOwner }) => isOwner).length).toBeGreaterThan(0)
    expect(first.running + second.running).toBe(1)
  })

  test.each(['', 'x'.repeat(201), 'a\nb', '\ud800', undefined, 7, {}])('rejects the id %j', async (id) => {
    const runs = openRuns()
    await expect(runs.start(id as string, () => words())).rejects.toThrow(sseError('ERR_SSE_RUN_ID'))
  })

  test('rejects a second source for a run that has ended', async () => {
    const runs = openRuns()
    const run = await runs.start('a', () => words('x'))
    await run.whenEnded()
    await expect(runs.start('a', () => words('y'))).rejects.toThrow(sseError('ERR_SSE_RUN_ENDED'))
  })

  test('rejects a source that is no function, and options that are unknown', async () => {
    const runs = openRuns()
    await expect(runs.start('a', words() as never)).rejects.toThrow(sseError('ERR_SSE_SOURCE'))
    await expect(runs.start('a', () => words(), { ttl: 1 } as never)).rejects.toThrow(
      sseError('ERR_SSE_OPTION'),
    )
    expect(() => new Runs({ store: {} as never })).toThrow(sseError('ERR_SSE_OPTION'))
    expect(() => new Runs({ lease: 10 })).toThrow(sseError('ERR_SSE_OPTION'))
  })

  test('ends a run as error if its function throws, rejects or returns no source', async () => {
    const runs = openRuns()
    const sources = [
      () => {
        throw new Error('secret')
      },
      () => Promise.reject(new Error('secret')),
      () => 7,
    ]
    for (const [at, source] of sources.entries()) {
      const run = await runs.start(`a${at}`, source as never)
      expect(await run.whenEnded()).toBe('error')
      const { stream, transport } = fakeStream()
      await run.subscribe(stream)
      await closed(stream)
      expect(runEventsOf(transport)).toEqual(['end {"reason":"error"}'])
    }
    expect(runs.errors).toHaveLength(3)
  })
})

describe('Runs.subscribe', () => {
  test('accepts a stream that has the events of the runs and others, and refuses one that lacks some', () => {
    const subscribe = (runs: Runs<{ token: string }>, run: Run<{ token: string }>) => {
      const stream = {} as SseStream<{ token: string; end: RunEnd }>
      runs.subscribe(stream, 'a', { onGap: () => [{ event: 'token', data: 'again' }] })
      run.subscribe(stream)
      // @ts-expect-error: the stream has no tokens.
      runs.subscribe({} as SseStream<{ end: RunEnd }>, 'a')
      // @ts-expect-error: the stream has no tokens.
      run.subscribe({} as SseStream<{ end: RunEnd }>)
    }

    expect(subscribe).toBeTypeOf('function')
  })

  test('sends everything from the beginning, and closes the stream after the end', async () => {
    const runs = openRuns()
    const run = await runs.start('a', () => words('a', 'b', 'c'))
    const { stream, transport } = fakeStream()
    await run.subscribe(stream)
    expect(await closed(stream)).toBe('server')
    expect(runEventsOf(transport)).toEqual(['text a', 'text b', 'text c', DONE])
    expect(transport.isEnded).toBe(true)
    transport.lose()
    await settled()
    expect(runs.size).toBe(0)
  })

  test('sends live events to subscribers in each process, and to those that come in the middle', async () => {
    const { first, second } = openTwoRuns()
    const source = new PushSource()
    await first.start('a', (signal) => source.read(signal))
    const early = fakeStream()
    await first.subscribe(early.stream, 'a')
    source.push(text('a'))
    await settled()
    const late = fakeStream()
    await second.subscribe(late.stream, 'a')
    source.push(text('b'))
    await settled()
    expect(runEventsOf(early.transport)).toEqual(['text a', 'text b'])
    expect(runEventsOf(late.transport)).toEqual(['text a', 'text b'])
    source.end()
    await Promise.all([closed(early.stream), closed(late.stream)])
    expect(runEventsOf(late.transport)).toEqual(['text a', 'text b', DONE])
    expect(early.transport.all.join('')).toBe(late.transport.all.join(''))
  })

  test('resumes strictly after the last event id', async () => {
    const runs = openRuns()
    const source = new PushSource()
    await runs.start('a', (signal) => source.read(signal))
    const first = fakeStream()
    await runs.subscribe(first.stream, 'a')
    source.push(text('a'), text('b'))
    await settled()
    const [id] = idsOf(first.transport)
    const again = fakeStream({}, id)
    await runs.subscribe(again.stream, 'a')
    source.push(text('c'))
    source.end()
    await closed(again.stream)
    expect(runEventsOf(again.transport)).toEqual(['text b', 'text c', DONE])
  })

  test('sends the end again to a client that has everything and whose headers were sent', async () => {
    const runs = openRuns()
    const run = await runs.start('a', () => words('a'))
    const first = fakeStream()
    await run.subscribe(first.stream)
    await closed(first.stream)
    const again = fakeStream({}, idsOf(first.transport).at(-1))
    await run.subscribe(again.stream)
    await closed(again.stream)
    expect(runEventsOf(again.transport)).toEqual([DONE])
  })

  test.each([
    ['of another run', 'zzz-1', 'unknown'],
    ['beyond the end', undefined, 'unknown'],
    ['that cannot be one', 'x y', 'unknown'],
    ['that is unreadable', null, 'unreadable'],
  ])(
    'reports a gap to a client with an id %s, and starts from the beginning',
    async (_, lastEventId, reason) => {
      const runs = openRuns()
      const run = await runs.start('a', () => words('a', 'b'))
      const first = fakeStream()
      await run.subscribe(first.stream)
      await closed(first.stream)
      const beyond = `${idsOf(first.transport)[0]?.split('-')[0]}-999`
      const again = fakeStream({}, lastEventId === undefined ? beyond : lastEventId)
      await run.subscribe(again.stream)
      await closed(again.stream)
      expect(runEventsOf(again.transport)).toEqual([`gap {"reason":"${reason}"}`, 'text a', 'text b', DONE])
    },
  )

  test('reports a gap for an unknown run once the headers were sent, and closes the stream', async () => {
    const runs = openRuns()
    for (const id of ['none', '', 'x'.repeat(1_000), '\ud800']) {
      const { stream, transport } = fakeStream()
      await runs.subscribe(stream, id)
      await closed(stream)
      expect(runEventsOf(transport)).toEqual(['gap {"reason":"unknown"}'])
    }
    expect(runs.size).toBe(0)
  })

  test('keeps the pace of a slow client, and never closes it for being behind', async () => {
    const runs = openRuns()
    const source = new PushSource()
    await runs.start('a', (signal) => source.read(signal))
    const { stream, transport } = fakeStream({ maxBufferedEvents: 4, maxBufferedBytes: 2_000 })
    await runs.subscribe(stream, 'a')
    transport.isFull = true
    const all = Array.from({ length: 500 }, (_, at) => `${at} ${'x'.repeat(100)}`)
    source.push(...all.map(text))
    source.end()
    await settled()
    expect(stream.closed).toBe(false)
    expect(stream.bufferedBytes).toBeLessThan(100_000)
    for (let round = 0; !transport.isEnded; round++) {
      expect(round).toBeLessThan(2_000)
      transport.drain({ isFull: round % 3 > 0 })
      await settled()
    }
    expect(runEventsOf(transport)).toEqual([...all.map((each) => `text ${each}`), DONE])
  })

  test('does not retain a stream that disconnects during a replay or while it is live', async () => {
    const runs = openRuns()
    const source = new PushSource()
    await runs.start('a', (signal) => source.read(signal))
    source.push(...Array.from({ length: 100 }, () => text('x'.repeat(1_000))))
    await settled()
    const slow = fakeStream()
    slow.transport.isFull = true
    const live = fakeStream()
    await Promise.all([runs.subscribe(slow.stream, 'a'), runs.subscribe(live.stream, 'a')])
    await settled()
    expect(runs.size).toBe(2)
    slow.transport.lose()
    live.transport.lose()
    await settled()
    expect(runs.size).toBe(0)
  })

  test('accepts a stream once, and only a stream', async () => {
    const runs = openRuns()
    await runs.start('a', (signal) => new PushSource().read(signal))
    const { stream } = fakeStream()
    await runs.subscribe(stream, 'a')
    expect(() => runs.subscribe(stream, 'a')).toThrow(sseError('ERR_SSE_STREAM'))
    expect(() => runs.subscribe({} as never, 'a')).toThrow(sseError('ERR_SSE_STREAM'))
  })

  test('sends the events of onGap instead of the gap event', async () => {
    const runs = openRuns({ maxEvents: 2 })
    const run = await runs.start('a', () => words('a', 'b', 'c', 'd'))
    await run.whenEnded()
    const { stream, transport } = fakeStream()
    await run.subscribe(stream, { onGap: ({ reason }) => [{ event: 'reset', data: reason }] })
    await closed(stream)
    expect(runEventsOf(transport)[0]).toBe('reset evicted')
  })

  test('destroys a stream whose onGap fails, and emits the error with the id of the run', async () => {
    const runs = openRuns({ maxEvents: 2 })
    const emitted = vi.fn()
    runs.on('error', emitted)
    const run = await runs.start('a', () => words('a', 'b', 'c', 'd'))
    await run.whenEnded()
    const onGap = () => Promise.reject(new Error('no database'))
    const known = fakeStream()
    await run.subscribe(known.stream, { onGap })
    const unknown = fakeStream({}, 'x')
    await runs.subscribe(unknown.stream, 'none', { onGap: () => ({ price: 1 }) as never })

    const ends = [await closed(known.stream), await closed(unknown.stream)]

    expect(ends).toEqual(['error', 'error'])
    expect(emitted.mock.calls).toEqual([
      [new Error('no database'), 'a'],
      [sseError('ERR_SSE_SOURCE'), 'none'],
    ])
  })
})

describe('an error of a run', () => {
  test('is printed with its code', async () => {
    const print = vi.spyOn(console, 'error').mockImplementation(() => {})
    onTestFinished(() => print.mockRestore())
    const runs = new Runs()
    const run = await runs.start('a', () => [{ price: 1 }] as never)

    await run.whenEnded()
    await settled()

    expect(print.mock.calls).toEqual([[expect.stringContaining(' ERR_SSE_EVENT: ')]])
    await runs.shutdown({ grace: 0 })
  })

  test('is reported to a listener of once, and the next one is printed', async () => {
    const errors: unknown[] = []
    const uncaught = valuesOf('uncaughtException')
    const print = vi.spyOn(console, 'error').mockImplementation(() => {})
    onTestFinished(() => print.mockRestore())
    const runs = new Runs({
      errorMessage: () => {
        throw new Error('message')
      },
    })
    runs.once('error', (error) => errors.push(error))
    const run = await runs.start('a', () => {
      throw new Error('source')
    })
    expect(await run.whenEnded()).toBe('error')
    expect(errors).toEqual([new Error('source')])
    await settled()
    expect(print.mock.calls).toEqual([[expect.stringContaining('Error: message')]])
    expect(uncaught).toEqual([])
    await runs.shutdown({ grace: 0 })
  })
})

describe('the end of a run', () => {
  test('is an error without its text, unless the application returns one', async () => {
    const failing = async function* () {
      yield text('a')
      throw new Error('secret')
    }
    for (const [options, end] of [
      [{}, 'end {"reason":"error"}'],
      [{ errorMessage: () => 'sorry' }, 'end {"reason":"error","message":"sorry"}'],
    ] as const) {
      const runs = openRuns(options)
      const run = await runs.start('a', failing)
      const { stream, transport } = fakeStream()
      await run.subscribe(stream)
      await closed(stream)
      expect(runEventsOf(transport)).toEqual(['text a', end])
      expect(runs.errors).toEqual([expect.objectContaining({ message: 'secret' })])
    }
  })

  test.each([
    ['a value that cannot be serialized', { data: 1n }],
    ['a promise as data', { data: Promise.resolve(1) }],
    ['an event with an id', { data: 'x', id: '1' }],
    ['an event without data', { retry: 5 }],
    ['an unknown key', { dat: 'x' }],
    ['a number', 7],
    ['null', null],
  ])('is an error after %s, and the source is closed', async (_, item) => {
    const runs = openRuns()
    const source = new PushSource()
    const run = await runs.start('a', (signal) => source.read(signal))
    source.push(text('a'), item)
    expect(await run.whenEnded()).toBe('error')
    expect(source.isClosed).toBe(true)
    const { stream, transport } = fakeStream()
    await run.subscribe(stream)
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['text a', 'end {"reason":"error"}'])
    expect(runs.errors).toHaveLength(1)
  })

  test('comes although errorMessage fails', async () => {
    const runs = openRuns({
      errorMessage: () => {
        throw new Error('message')
      },
    })
    const run = await runs.start('a', () => {
      throw new Error('source')
    })
    expect(await run.whenEnded()).toBe('error')
    expect(runs.errors.map((error) => (error as Error).message)).toEqual(['source', 'message'])
  })

  test('comes although errorMessage and endEvent are asynchronous and reject', async () => {
    const unhandled = valuesOf('unhandledRejection')
    const rejecting = (async () => Promise.reject(new Error('late'))) as never
    const runs = openRuns({ errorMessage: rejecting, endEvent: rejecting })
    const run = await runs.start('a', () => {
      throw new Error('source')
    })
    expect(await run.whenEnded()).toBe('error')
    const { stream, transport } = fakeStream()
    await run.subscribe(stream)
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['end {"reason":"error"}'])
    expect(runs.errors.map((error) => (error as Error).message)).toEqual([
      'source',
      'errorMessage must return a string, not a promise.',
      'endEvent must return an event or several, not a promise.',
    ])
    expect(unhandled).toEqual([])
  })

  test('is the event that endEvent returns', async () => {
    const endEvent = ({ reason }: { reason: string }): SseEvent => ({ data: `[${reason.toUpperCase()}]` })
    const runs = openRuns({ endEvent })
    const run = await runs.start('a', () => ['x', 'y'])
    const { stream, transport } = fakeStream()
    await run.subscribe(stream)
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['message x', 'message y', 'message [DONE]'])
  })

  test('is all events that endEvent returns, and a client between them gets the others', async () => {
    const runs = openRuns({ endEvent: ({ reason }) => [{ data: reason }, { data: '[DONE]' }] })
    const run = await runs.start('a', () => ['x'])
    const { stream, transport } = fakeStream()
    await run.subscribe(stream)
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['message x', 'message done', 'message [DONE]'])
    const between = fakeStream({}, idsOf(transport)[1])
    await run.subscribe(between.stream)
    await closed(between.stream)
    expect(runEventsOf(between.transport)).toEqual(['message [DONE]'])
  })

  test.each([
    ['fails', () => ({ data: undefined })],
    ['returns no event', () => []],
  ])('is the default event if endEvent %s', async (_, endEvent) => {
    const runs = openRuns({ endEvent: endEvent as never })
    const run = await runs.start('a', () => ['x'])
    expect(await run.whenEnded()).toBe('done')
    const { stream, transport } = fakeStream()
    await run.subscribe(stream)
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['message x', DONE])
    expect(runs.errors).toHaveLength(1)
  })

  test('is the default event if endEvent fails for a process that has died', async () => {
    const { first, second, memory } = openTwoRuns({ lease: 1_000, endEvent: () => null as never })
    await first.start('a', (signal) => new PushSource().read(signal))
    const { stream, transport } = fakeStream()
    await second.subscribe(stream, 'a')
    memory.owners.clear()
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['end {"reason":"lost"}'])
    expect(second.errors).toHaveLength(1)
  })
})

describe('Runs.stop', () => {
  test('aborts the signal, runs finally, and reports stopped, from any process', async () => {
    for (const which of ['first', 'second'] as const) {
      const both = openTwoRuns()
      const source = new PushSource()
      await both.first.start('a', (signal) => source.read(signal))
      source.push(text('a'))
      const { stream, transport } = fakeStream()
      await both.second.subscribe(stream, 'a')
      await settled()
      expect(await both[which].stop('a')).toBe(true)
      expect(source.isClosed).toBe(true)
      await closed(stream)
      expect(runEventsOf(transport)).toEqual(['text a', 'end {"reason":"stopped"}'])
      expect(await both[which].stop('a')).toBe(false)
    }
  })

  test('reports stopped only after finally has run', async () => {
    const runs = openRuns()
    const { promise, resolve } = deferred<void>()
    const run = await runs.start('a', async function* (signal) {
      try {
        yield text('a')
        await new Promise((_, reject) => signal.addEventListener('abort', reject))
      } finally {
        await promise
      }
    })
    const { stream, transport } = fakeStream()
    await run.subscribe(stream)
    await settled()
    const stopped = run.stop()
    await settled()
    expect(runEventsOf(transport)).toEqual(['text a'])
    resolve()
    await stopped
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['text a', 'end {"reason":"stopped"}'])
  })

  test('does not wait forever for a source that does not close', async () => {
    const runs = openRuns({ closeTimeout: 1 })
    const run = await runs.start('a', async function* () {
      yield text('a')
      await new Promise(() => {})
    })
    expect(await run.stop()).toBe(true)
    expect(await run.whenEnded()).toBe('stopped')
  })

  test('closes a source that arrives after the stop', async () => {
    const runs = openRuns()
    const source = new PushSource()
    const opened = deferred<void>()
    const run = await runs.start('a', async (signal) => {
      const items = source.read(signal)
      await items.next().catch(() => {})
      await opened.promise
      return items
    })
    source.push(text('lost'))
    const stopped = run.stop()
    opened.resolve()
    await stopped
    expect(source.isClosed).toBe(true)
    expect(await run.whenEnded()).toBe('stopped')
  })

  test('closes a source that arrives long after the stop, and does not read it', async () => {
    const runs = openRuns()
    const opened = deferred<void>()
    const next = vi.fn()
    const close = vi.fn(async () => ({ done: true, value: undefined }))
    const run = await runs.start('a', async () => {
      await opened.promise
      return { [Symbol.asyncIterator]: () => ({ next, return: close }) } as never
    })
    const stopped = run.stop()
    await settled()
    opened.resolve()
    expect([await stopped, await run.whenEnded()]).toEqual([true, 'stopped'])
    expect([next.mock.calls.length, close.mock.calls.length]).toEqual([0, 1])
  })

  test('closes a source that arrives after the time for which it waits', async () => {
    const runs = openRuns({ closeTimeout: 1 })
    const opened = deferred<void>()
    const close = vi.fn(async () => ({ done: true, value: undefined }))
    const run = await runs.start('a', async () => {
      await opened.promise
      return { [Symbol.asyncIterator]: () => ({ next: vi.fn(), return: close }) } as never
    })
    await run.stop()
    opened.resolve()
    await vi.waitFor(() => expect(close).toHaveBeenCalledTimes(1))
  })

  test('returns false for an unknown run', async () => {
    const runs = openRuns()
    expect(await runs.stop('none')).toBe(false)
    expect(await runs.stop('')).toBe(false)
    expect(await runs.delete('none')).toBe(false)
    expect(await runs.get('none')).toBeUndefined()
  })
})

describe('a run', () => {
  test('reports how it has ended to whichever process gets it', async () => {
    const { first, second } = openTwoRuns()
    const source = new PushSource()
    const run = await first.start('a', (signal) => source.read(signal))
    expect([run.end, (await second.get('a'))?.end]).toEqual([undefined, undefined])
    await second.stop('a')
    expect([(await first.get('a'))?.end, (await second.get('a'))?.end]).toEqual(['stopped', 'stopped'])
  })

  test('continues without subscribers by default', async () => {
    const runs = openRuns()
    const source = new PushSource()
    const run = await runs.start('a', (signal) => source.read(signal))
    const { stream, transport } = fakeStream()
    await run.subscribe(stream)
    source.push(text('a'))
    await settled()
    transport.lose()
    await settled()
    source.push(text('b'))
    source.end()
    expect(await run.whenEnded()).toBe('done')
  })

  test('is stopped when it was abandoned', async () => {
    const runs = openRuns()
    const source = new PushSource()
    const run = await runs.start('a', (signal) => source.read(signal), { abandonAfter: 40 })
    const { stream } = fakeStream()
    await run.subscribe(stream)
    stream.destroy()
    await vi.waitFor(() => expect(source.isClosed).toBe(true), 10_000)
    const { stream: late, transport } = fakeStream()
    await run.subscribe(late)
    await closed(late)
    expect(runEventsOf(transport)).toEqual(['end {"reason":"stopped"}'])
  })

  test('keeps only the newest events, and reports a gap for the others', async () => {
    const runs = openRuns({ maxEvents: 16 })
    const run = await runs.start('a', async function* () {
      for (let at = 0; at < 100; at++) {
        yield text(`${at}`)
        await settled()
      }
    })
    await run.whenEnded()
    const { stream, transport } = fakeStream()
    await run.subscribe(stream)
    await closed(stream)
    const events = runEventsOf(transport)
    expect(events[0]).toBe('gap {"reason":"evicted"}')
    expect(events.length).toBeGreaterThan(10)
    expect(events.length).toBeLessThan(20)
    expect(events.slice(-2)).toEqual(['text 99', DONE])
  })

  test('is removed by delete, also while its source is read', async () => {
    const { first, second } = openTwoRuns()
    const source = new PushSource()
    await first.start('a', (signal) => source.read(signal))
    expect(await second.delete('a')).toBe(true)
    expect(source.isClosed).toBe(true)
    expect(await first.get('a')).toBeUndefined()
    const again = await second.start('a', () => words('new'))
    expect(again.isOwner).toBe(true)
    expect(await again.whenEnded()).toBe('done')
  })

  test.each(['first', 'second'] as const)(
    'sends its last events when the %s process deletes it while its source is read',
    async (which) => {
      const both = openTwoRuns()
      const { first, second } = both
      const source = new PushSource()
      const run = await first.start('a', (signal) => source.read(signal))
      const streams = [first, second].map((each) => {
        const { stream, transport } = fakeStream()
        void each.subscribe(stream, 'a')
        return { stream, transport }
      })
      await settled()
      source.push(text('a'))
      await settled()
      const ended = [run.whenEnded(), (await second.get('a'))?.whenEnded()]
      await both[which].delete('a')
      expect(await Promise.all(ended)).toEqual(['stopped', 'stopped'])
      for (const { stream, transport } of streams) {
        await closed(stream)
        expect(runEventsOf(transport)).toEqual(['text a', 'end {"reason":"stopped"}'])
      }
    },
  )

  test('ends as lost within the lease when its process has died', async () => {
    const { first, second, memory } = openTwoRuns({ lease: 1_000 })
    const source = new PushSource()
    await first.start('a', (signal) => source.read(signal))
    source.push(text('a'))
    const { stream, transport } = fakeStream()
    await second.subscribe(stream, 'a')
    await settled()
    const [owner] = memory.owners.keys()
    memory.owners.delete(owner as string)
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['text a', 'end {"reason":"lost"}'])
    // The old owner appends nothing more, and closes its source.
    source.push(text('late'))
    await vi.waitFor(() => expect(source.isClosed).toBe(true))
    const again = fakeStream()
    await second.subscribe(again.stream, 'a')
    await closed(again.stream)
    expect(runEventsOf(again.transport)).toEqual(['text a', 'end {"reason":"lost"}'])
  })

  test('ends as lost at a shutdown that does not wait', async () => {
    const { first, second } = openTwoRuns()
    const source = new PushSource()
    await first.start('a', (signal) => source.read(signal))
    const { stream, transport } = fakeStream()
    await second.subscribe(stream, 'a')
    await first.shutdown({ grace: 0 })
    await closed(stream)
    expect(source.isClosed).toBe(true)
    expect(runEventsOf(transport)).toEqual(['end {"reason":"lost"}'])
    await expect(first.start('b', () => words())).rejects.toThrow(sseError('ERR_SSE_SHUT_DOWN'))
  })

  test('may finish during a shutdown that waits', async () => {
    const { first, second } = openTwoRuns()
    const source = new PushSource()
    await first.start('a', (signal) => source.read(signal))
    const { stream, transport } = fakeStream()
    await second.subscribe(stream, 'a')
    const shutDown = first.shutdown({ grace: 60_000 })
    source.push(text('a'))
    source.end()
    await shutDown
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['text a', DONE])
  })
})

describe('a run whose id belonged to a run that has not ended yet', () => {
  /** Starts a run whose source closes when it is released. The store has removed the run. */
  async function startRemoved() {
    const store = new MemoryRuns()
    const renewed = vi.spyOn(store, 'renew')
    const runs = openRuns({ store, lease: 1_000, closeTimeout: 3_600_000 })
    const released = deferred<void>()
    const signals: AbortSignal[] = []
    const removed = await runs.start('a', async function* (signal) {
      signals.push(signal)
      yield text('old')
      await released.promise
    })
    await settled()
    await store.remove('a')
    return { runs, removed, released, signals, renewed }
  }

  test('continues when that run ends', async () => {
    const { runs, removed, released, signals, renewed } = await startRemoved()
    const source = new PushSource()
    const run = await runs.start('a', (signal) => source.read(signal))
    expect([run.isOwner, runs.running, signals[0]?.aborted]).toEqual([true, 2, true])
    released.resolve()
    expect(await removed.whenEnded()).toBe('lost')
    await settled()
    expect([runs.running, source.isClosed]).toEqual([1, false])
    const { length } = renewed.mock.calls
    await vi.waitFor(() => expect(renewed.mock.calls.length).toBeGreaterThan(length), 10_000)
    expect(await run.stop()).toBe(true)
    expect([await run.whenEnded(), source.isClosed, runs.running]).toEqual(['stopped', true, 0])
  })

  test('does not keep a shutdown from waiting for that run', async () => {
    const { runs, released } = await startRemoved()
    await (await runs.start('a', () => words('new'))).whenEnded()
    const onShutDown = vi.fn()
    const shutDown = runs.shutdown({ grace: 3_600_000 }).then(onShutDown)
    await settled()
    expect([runs.running, onShutDown.mock.calls.length]).toEqual([1, 0])
    released.resolve()
    await shutDown
    expect(runs.running).toBe(0)
  })
})

describe('merge', () => {
  const merge = (previous: SseEvent, next: SseEvent) =>
    previous.event === 'text' && next.event === 'text'
      ? { event: 'text', data: previous.data + next.data }
      : undefined

  test('joins the events of a replay, with the position of the last one', async () => {
    const runs = openRuns({ merge })
    const run = await runs.start('a', () => [
      ...Array.from({ length: 20_000 }, (_, at) => text(`${at} `)),
      { event: 'tool', data: { name: 'x' } },
      text('a'),
      text('b'),
    ])
    await run.whenEnded()
    const { stream, transport } = fakeStream()
    await run.subscribe(stream)
    await closed(stream)
    const events = runEventsOf(transport)
    expect(events.length).toBeLessThan(12)
    expect(events.slice(-3)).toEqual(['tool {"name":"x"}', 'text ab', DONE])
    const joined = events.slice(0, -3).map((each) => each.slice(5))
    expect(joined.join('')).toBe(Array.from({ length: 20_000 }, (_, at) => `${at} `).join(''))
    expect(idsOf(transport).at(-2)).toMatch(/-20003$/)
    const resumed = fakeStream({}, idsOf(transport)[0])
    await run.subscribe(resumed.stream)
    await closed(resumed.stream)
    expect(runEventsOf(resumed.transport)).toEqual(events.slice(1))
  })

  const failing = () => {
    throw new Error('merge')
  }
  const rejecting = (async () => failing()) as unknown as Merge
  const asynchronous = {
    code: 'ERR_SSE_OPTION',
    message: 'merge must return an event or undefined, not a promise.',
  }
  test.each<[fault: string, merge: Merge, error: object]>([
    ['fails', failing, { message: 'merge' }],
    ['is asynchronous, and leaves no rejection unhandled', rejecting, asynchronous],
  ])('sends events as they are if it %s', async (_, merge, error) => {
    const runs = openRuns({ merge })
    const run = await runs.start('a', () => [text('a'), text('b')])
    await run.whenEnded()
    const { stream, transport } = fakeStream()
    await run.subscribe(stream)
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['text a', 'text b', DONE])
    expect(runs.errors).toEqual([expect.objectContaining(error)])
  })

  test('does not join live events', async () => {
    const runs = openRuns({ merge })
    const source = new PushSource()
    const run = await runs.start('a', (signal) => source.read(signal))
    const { stream, transport } = fakeStream()
    await run.subscribe(stream)
    source.push(text('a'))
    await settled()
    source.push(text('b'))
    source.end()
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['text a', 'text b', DONE])
  })
})
