import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { SseError } from '../../src/errors.ts'
import { MemoryRuns, RunMemory } from '../../src/stores/memory/memory-runs.ts'
import type { RunBatch, RunRetention, RunState } from '../../src/stores/run-store.ts'
import { deferred } from '../support/deferred.ts'
import { watch } from '../support/diagnostics.ts'
import { sseError } from '../support/hub.ts'
import { closed, idsOf, openRuns, openTwoRuns, PushSource, runEventsOf, text } from '../support/runs.ts'
import { SlowRuns } from '../support/slow-runs.ts'
import { fakeStream, settled } from '../support/streams.ts'

const DONE = 'end {"reason":"done"}'
const failure = new SseError('ERR_SSE_STORE', 'down')

describe('a process that has a slow client of a run', () => {
  /** A client that has read nothing yet of a run of some KB, which has ended or goes on. */
  async function openSlow({ isEnded = false } = {}) {
    const memory = new RunMemory()
    const store = new MemoryRuns(memory)
    const runs = openRuns({ store })
    const owner = openRuns({ store: new MemoryRuns(memory) })
    const source = new PushSource()
    const run = await owner.start('a', (signal) => source.read(signal))
    source.push(...Array.from({ length: 50 }, () => text('x'.repeat(10_000))))
    if (isEnded) {
      source.end()
      await run.whenEnded()
    } else await settled()
    const slow = fakeStream()
    slow.transport.isFull = true
    await runs.subscribe(slow.stream, 'a')
    await settled()
    return { runs, owner, slow, source, store, other: new MemoryRuns(memory) }
  }

  test.each([false, true])(
    'sends the run that has replaced it to others, which had ended: %s',
    async (isEnded) => {
      const { runs, owner, other } = await openSlow({ isEnded })
      await other.remove('a')
      await (await owner.start('a', () => [text('new')]).catch(() => owner.start('a', () => [text('new')])))
        .whenEnded()
        .catch(() => {})
      const { stream, transport } = fakeStream()
      await runs.subscribe(stream, 'a')
      await closed(stream)
      expect(runEventsOf(transport)).toEqual(['text new', DONE])
    },
  )

  test('sends a run that has ended to others without a second watch', async () => {
    const { runs, store } = await openSlow({ isEnded: true })
    const watch = vi.spyOn(store, 'watch')
    const { stream, transport } = fakeStream()
    await runs.subscribe(stream, 'a')
    await closed(stream)
    expect(runEventsOf(transport)).toHaveLength(51)
    expect(watch).not.toHaveBeenCalled()
  })
})

describe('a run in a process', () => {
  test('is watched once for all subscribers, also for those that come at once, and not after them', async () => {
    const memory = new RunMemory()
    class Slow extends SlowRuns {
      constructor() {
        super(memory)
      }
    }
    const store = new Slow()
    const watch = vi.spyOn(store, 'watch')
    const owner = openRuns({ store: new MemoryRuns(memory) })
    await owner.start('a', (signal) => new PushSource().read(signal))
    const runs = openRuns({ store })
    const streams = [fakeStream(), fakeStream(), fakeStream()]
    await Promise.all(streams.map(({ stream }) => runs.subscribe(stream, 'a')))
    expect(watch).toHaveBeenCalledTimes(1)
    const { epoch = '' } = new MemoryRuns(memory).find('a') ?? {}
    expect(store.isWatched('a', epoch)).toBe(true)
    for (const { transport } of streams) transport.lose()
    await settled()
    expect([store.isWatched('a', epoch), runs.size]).toEqual([false, 0])
  })

  test('is not watched after its only client has disconnected while it was looked up', async () => {
    const memory = new RunMemory()
    const store = new SlowRuns(memory)
    const owner = openRuns({ store: new MemoryRuns(memory) })
    await owner.start('a', (signal) => new PushSource().read(signal))
    const { epoch = '' } = new MemoryRuns(memory).find('a') ?? {}
    const { stream, transport } = fakeStream()
    const subscribed = openRuns({ store }).subscribe(stream, 'a')
    transport.lose()
    await subscribed
    // The store responds to three requests, each within four turns.
    for (let request = 0; request <= 3; request++) await settled()
    expect(store.isWatched('a', epoch)).toBe(false)
  })

  test.each(['fails', 'has a newer run'])(
    'is not watched for a client with an unknown id if the store %s',
    async (kind) => {
      const memory = new RunMemory()
      const states: Array<() => RunState | undefined> = []
      class Scripted extends MemoryRuns {
        override find(id: string): RunState | undefined {
          const next = states.shift()
          return next ? next() : super.find(id)
        }
      }
      const store = new Scripted(memory)
      const owner = openRuns({ store: new MemoryRuns(memory) })
      const source = new PushSource()
      await owner.start('a', (signal) => source.read(signal))
      const { epoch = '' } = store.find('a') ?? {}
      states.push(
        () => new MemoryRuns(memory).find('a'),
        () => {
          if (kind === 'fails') throw failure
          return { epoch: 'other', owner: 'x', last: 1 }
        },
        () => undefined,
      )
      const { stream } = fakeStream({}, `${epoch}-7`)
      await openRuns({ store }).subscribe(stream, 'a')
      await closed(stream)
      expect(store.isWatched('a', epoch)).toBe(false)
    },
  )

  test('does not check its owner if that is the process itself', async () => {
    const store = new MemoryRuns()
    const isAlive = vi.spyOn(store, 'isAlive')
    const renew = vi.spyOn(store, 'renew')
    const runs = openRuns({ store, lease: 1_000 })
    const run = await runs.start('a', (signal) => new PushSource().read(signal))
    await run.subscribe(fakeStream().stream)
    await vi.waitFor(() => expect(renew.mock.calls.length).toBeGreaterThan(3), 20_000)
    expect(isAlive).not.toHaveBeenCalled()
  })

  test('ends as lost although the store has failed at the first attempt', async () => {
    let attempts = 0
    class Failing extends MemoryRuns {
      override append(id: string, epoch: string, batch: RunBatch, retention: RunRetention): boolean {
        attempts += 1
        if (attempts === 1) throw failure
        return super.append(id, epoch, batch, retention)
      }
    }
    const memory = new RunMemory()
    const owner = openRuns({ store: new MemoryRuns(memory) })
    await owner.start('a', (signal) => new PushSource().read(signal))
    const { stream, transport } = fakeStream()
    await openRuns({ store: new Failing(memory), lease: 1_000 }).subscribe(stream, 'a')
    memory.owners.clear()
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['end {"reason":"lost"}'])
  })

  test('is kept after it was lost as long as after any end', async () => {
    const { first, second, memory } = openTwoRuns({ lease: 1_000, keep: 1 })
    await first.start('a', (signal) => new PushSource().read(signal))
    const { stream } = fakeStream()
    await second.subscribe(stream, 'a')
    memory.owners.clear()
    await closed(stream)
    await vi.waitFor(() => expect(memory.runs.size).toBe(0), 20_000)
  })
})

describe('Runs', () => {
  test('reports starts, ends and replays to the diagnostics', async () => {
    const starts = watch('spillway:run:start')
    const ends = watch('spillway:run:end')
    const replays = watch('spillway:stream:replay')
    const runs = openRuns()
    const run = await runs.start('a', () => [text('a'), text('b')])
    await run.whenEnded()
    await settled()
    expect(starts).toEqual([{ runs, id: 'a' }])
    expect(ends).toEqual([{ runs, id: 'a', reason: 'done', events: 3, duration: expect.any(Number) }])
    const { stream, transport } = fakeStream()
    await run.subscribe(stream)
    await closed(stream)
    expect(replays).toEqual([])
    const again = fakeStream({}, idsOf(transport)[0])
    await run.subscribe(again.stream)
    await closed(again.stream)
    expect(replays).toEqual([
      {
        stream: again.stream,
        events: 2,
        duration: expect.any(Number),
        resumed: true,
        complete: true,
        error: undefined,
      },
    ])
  })

  test('passes a request to stop on only to the run with its epoch', async () => {
    const memory = new RunMemory()
    const runs = openRuns({ store: new MemoryRuns(memory) })
    const source = new PushSource()
    await runs.start('a', (signal) => source.read(signal))
    const [owner] = memory.owners.values()
    owner?.onStop('a', 'other')
    owner?.onStop('b', 'other')
    await settled()
    expect(runs.running).toBe(1)
    owner?.onStop('a', memory.runs.get('a')?.state.epoch ?? '')
    await vi.waitFor(() => expect(source.isClosed).toBe(true))
  })

  test('requests a stop again that its owner has not received', async () => {
    const { first, second, memory } = openTwoRuns()
    const source = new PushSource()
    await first.start('a', (signal) => source.read(signal))
    const [name, owner] = [...memory.owners].find(([, each]) => each.name) ?? []
    let requests = 0
    memory.owners.set(name ?? '', {
      name: name ?? '',
      onStop: (...args) => {
        requests += 1
        if (requests > 1) owner?.onStop(...args)
      },
    })
    expect(await second.stop('a')).toBe(true)
    expect([requests, source.isClosed]).toEqual([2, true])
  })

  test('requests no stop after the run has ended, and renews no lease without a run', async () => {
    const store = new MemoryRuns()
    const renew = vi.spyOn(store, 'renew')
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const runs = openRuns({ store, lease: 1_000 })
    const run = await runs.start('a', () => [text('a')])
    await run.whenEnded()
    const { length } = renew.mock.calls
    await vi.advanceTimersByTimeAsync(10_000)
    expect(renew.mock.calls.length).toBe(length)
    const source = new PushSource()
    await runs.start('b', (signal) => source.read(signal))
    await (await runs.start('c', () => [])).whenEnded()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(renew.mock.calls.length).toBeGreaterThan(length + 5)
    source.end()
  })

  test('starts no run that the store returns after a shutdown has begun', async () => {
    const store = new MemoryRuns()
    const original = MemoryRuns.prototype.start.bind(store)
    const stored = deferred<void>()
    vi.spyOn(store, 'start').mockImplementation(async (...args) => {
      const state = await original(...args)
      await stored.promise
      return state
    })
    const close = vi.spyOn(store, 'close')
    const runs = openRuns({ store })
    const source = vi.fn(() => [])
    const starting = expect(runs.start('a', source)).rejects.toThrow(sseError('ERR_SSE_SHUT_DOWN'))
    await settled()
    const shutDown = runs.shutdown({ grace: 0 })
    stored.resolve()
    await Promise.all([starting, shutDown])
    expect([source.mock.calls.length, close.mock.calls.length]).toEqual([0, 1])
  })

  test('stops a run that takes longer than maxAge', async () => {
    const runs = openRuns()
    const source = new PushSource()
    await runs.start('a', (signal) => source.read(signal), { maxAge: 20 })
    await vi.waitFor(() => expect(source.isClosed).toBe(true), 20_000)
    await vi.waitFor(() => expect(runs.running).toBe(0))
  })
})
