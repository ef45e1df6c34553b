import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { SseError } from '../../src/errors.ts'
import { MemoryRuns, RunMemory } from '../../src/stores/memory/memory-runs.ts'
import type { RunBatch, RunPosition, RunRetention, RunWatch, RunWatcher } from '../../src/stores/run-store.ts'
import { deferred } from '../support/deferred.ts'
import { sseError } from '../support/hub.ts'
import { closed, idsOf, openRuns, PushSource, runEventsOf, text } from '../support/runs.ts'
import { fakeStream, settled } from '../support/streams.ts'

/** A store whose answers a test replaces, and which answers asynchronously. */
class FaultyRuns extends MemoryRuns {
  refuses: (batch: RunBatch) => boolean | Error = () => false
  /** Whether a batch is acknowledged and then lost. */
  loses: (batch: RunBatch) => boolean = () => false
  /** Whether messages about batches are lost. */
  isMute = false

  override append(id: string, epoch: string, batch: RunBatch, retention: RunRetention): never {
    const refused = this.refuses(batch)
    if (this.loses(batch)) return Promise.resolve(true) as never
    if (refused instanceof Error) return Promise.reject(refused) as never
    return Promise.resolve(refused ? false : super.append(id, epoch, batch, retention)) as never
  }

  override watch(id: string, epoch: string, watcher: RunWatcher): RunWatch {
    return super.watch(id, epoch, {
      onBatch: (batch) => this.isMute || watcher.onBatch(batch),
      onInterruption: () => watcher.onInterruption(),
    })
  }
}

/** A store that loses batches in a failover after their watchers have received them. */
class FailoverRuns extends MemoryRuns {
  loses: (batch: RunBatch) => boolean = () => false
  reads = 0
  /** The watchers of all processes, if these share the set. */
  watchers = new Set<RunWatcher>()

  override append(id: string, epoch: string, batch: RunBatch, retention: RunRetention): boolean {
    if (!this.loses(batch)) return super.append(id, epoch, batch, retention)
    for (const watcher of this.watchers) watcher.onBatch(batch)
    return true
  }

  override read(id: string, epoch: string, after: RunPosition, bytes: number): never {
    this.reads += 1
    return Promise.resolve(super.read(id, epoch, after, bytes)) as never
  }

  override watch(id: string, epoch: string, watcher: RunWatcher): RunWatch {
    this.watchers.add(watcher)
    return super.watch(id, epoch, watcher)
  }
}

/** A store whose look-ups wait until a test lets them go on. */
class HeldRuns extends MemoryRuns {
  readonly release = deferred<void>()

  override find(id: string): never {
    return this.release.promise.then(() => super.find(id)) as never
  }
}

describe('a stream whose run is being looked up', () => {
  test('cannot be subscribed a second time', async () => {
    const store = new HeldRuns()
    const runs = openRuns({ store })
    await runs.start('a', () => [text('a')])
    const { stream, transport } = fakeStream()
    const subscribed = runs.subscribe(stream, 'a')
    expect(() => runs.subscribe(stream, 'a')).toThrow(sseError('ERR_SSE_STREAM'))
    store.release.resolve()
    await subscribed
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['text a', 'end {"reason":"done"}'])
  })

  test('is closed with a reconnection time if the runs were shut down meanwhile', async () => {
    const store = new HeldRuns()
    const runs = openRuns({ store })
    const source = new PushSource()
    await runs.start('a', (signal) => source.read(signal))
    const [known, unknown] = [fakeStream(), fakeStream()]
    const subscribed = [runs.subscribe(known.stream, 'a'), runs.subscribe(unknown.stream, 'none')]
    await runs.shutdown({ grace: 0, retry: 10 })
    store.release.resolve()
    await Promise.all(subscribed)
    for (const { stream, transport } of [known, unknown]) {
      await closed(stream)
      expect(transport.all.join('')).toMatch(/^retry: \d+\n/)
    }
    expect(runs.size).toBe(0)
  })
})

describe('a run on a faulty store', () => {
  test('ends as error, and closes its source, if the store rejects a batch', async () => {
    const store = new FaultyRuns()
    const runs = openRuns({ store })
    const source = new PushSource()
    const run = await runs.start('a', (signal) => source.read(signal))
    store.refuses = ({ events }) =>
      events.some(({ data }) => data === 'large') && new SseError('ERR_SSE_STORE', 'too large')
    source.push(text('a'))
    await settled()
    source.push(text('large'))
    expect(await run.whenEnded()).toBe('error')
    expect(source.isClosed).toBe(true)
    const { stream, transport } = fakeStream()
    await run.subscribe(stream)
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['text a', 'end {"reason":"error"}'])
    expect(runs.errors).toEqual([expect.objectContaining({ code: 'ERR_SSE_STORE' })])
  })

  test('ends as error if the store rejects a batch and errorMessage fails', async () => {
    const store = new FaultyRuns()
    const runs = openRuns({
      store,
      errorMessage: () => {
        throw new Error('message')
      },
    })
    store.refuses = ({ end }) => !end && new SseError('ERR_SSE_STORE', 'too large')
    const run = await runs.start('a', () => [text('a')])
    expect(await run.whenEnded()).toBe('error')
    expect(runs.errors.map((error) => (error as Error).message)).toEqual(['too large', 'message'])
  })

  test('ends as lost after the events that are left, if the store has lost some', async () => {
    const store = new FaultyRuns()
    const runs = openRuns({ store })
    const source = new PushSource()
    const run = await runs.start('a', (signal) => source.read(signal))
    source.push(text('a'))
    await settled()
    store.loses = ({ events }) => events[0]?.data === 'b'
    source.push(text('b'))
    await settled()
    source.push(text('c'))
    expect(await run.whenEnded()).toBe('lost')
    expect(source.isClosed).toBe(true)
    const { stream, transport } = fakeStream()
    await run.subscribe(stream)
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['text a', 'end {"reason":"lost"}'])
  })

  test('ends as lost with the default event if the store rejects that of endEvent', async () => {
    const memory = new RunMemory()
    const store = new FaultyRuns(memory)
    store.refuses = ({ events }) => events[0]?.data === 'large' && new SseError('ERR_SSE_STORE', 'too large')
    const owner = openRuns({ store: new MemoryRuns(memory) })
    const reader = openRuns({ store, lease: 1_000, endEvent: () => ({ data: 'large' }) })
    await owner.start('a', (signal) => new PushSource().read(signal))
    const { stream, transport } = fakeStream()
    await reader.subscribe(stream, 'a')
    memory.owners.clear()
    await vi.waitFor(() => expect(store.find('a')?.end).toBe('lost'), 10_000)
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['end {"reason":"lost"}'])
    expect(reader.errors).toEqual([sseError('ERR_SSE_STORE')])
  })

  test('emits a read that the store rejects once in 10 s, and not for each of its subscribers', async () => {
    const store = new FaultyRuns()
    const runs = openRuns({ store })
    await runs.start('a', () => [text('a')])
    await settled()
    const outage = () => Promise.reject(new SseError('ERR_SSE_STORE', 'no response')) as never
    const now = vi.spyOn(performance, 'now').mockReturnValue(100_000)
    onTestFinished(() => now.mockRestore())
    for (const method of ['find', 'read'] as const) {
      const failing = vi.spyOn(store, method).mockImplementation(outage)
      const streams = Array.from({ length: 20 }, () => fakeStream().stream)
      for (const stream of streams) void runs.subscribe(stream, 'a')
      expect(await Promise.all(streams.map((stream) => closed(stream)))).toEqual(Array(20).fill('error'))
      expect(runs.errors.splice(0)).toEqual([sseError('ERR_SSE_STORE')])
      failing.mockRestore()
      now.mockReturnValue(110_000)
    }
  })

  test('is read again when the message about its end was lost', async () => {
    const memory = new RunMemory()
    const store = new FaultyRuns(memory)
    const owner = openRuns({ store: new MemoryRuns(memory), lease: 1_000 })
    const reader = openRuns({ store, lease: 1_000 })
    const source = new PushSource()
    await owner.start('a', (signal) => source.read(signal))
    const { stream, transport } = fakeStream()
    await reader.subscribe(stream, 'a')
    store.isMute = true
    source.push(text('a'))
    source.end()
    await vi.waitFor(() => expect(stream.closed).toBe(true), 20_000)
    await settled()
    expect(runEventsOf(transport)).toEqual(['text a', 'end {"reason":"done"}'])
  })

  test('is read again when a message in the middle was lost', async () => {
    const memory = new RunMemory()
    const store = new FaultyRuns(memory)
    const owner = openRuns({ store: new MemoryRuns(memory) })
    const reader = openRuns({ store })
    const source = new PushSource()
    await owner.start('a', (signal) => source.read(signal))
    const { stream, transport } = fakeStream()
    await reader.subscribe(stream, 'a')
    store.isMute = true
    source.push(text('a'))
    await settled()
    store.isMute = false
    source.push(text('b'))
    source.end()
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['text a', 'text b', 'end {"reason":"done"}'])
  })
})

describe('a run whose store has lost acknowledged events', () => {
  /** Subscribes a stream to a run whose first event is kept, and whose second and third one are lost. */
  async function startLossy(third = 'c') {
    const store = new FailoverRuns()
    store.loses = ({ first, end }) => first > 1 && first < 4 && !end
    const runs = openRuns({ store })
    const source = new PushSource()
    const run = await runs.start('a', (signal) => source.read(signal))
    const { stream, transport } = fakeStream()
    await run.subscribe(stream)
    for (const data of ['a', 'b', third]) {
      source.push(text(data))
      await settled()
    }
    return { store, runs, source, stream, transport }
  }

  test('reports a gap to a live client, which then receives what is left from the beginning', async () => {
    const { runs, source, stream, transport } = await startLossy()
    source.push(text('d'))
    expect(await closed(stream)).toBe('server')
    expect(runEventsOf(transport)).toEqual(['text a', 'text b', 'text c', 'gap {"reason":"unknown"}'])
    const again = fakeStream({}, idsOf(transport).at(-1))
    await runs.subscribe(again.stream, 'a')
    await closed(again.stream)
    expect(runEventsOf(again.transport)).toEqual(['text a', 'end {"reason":"lost"}'])
  })

  test('resolves the wait for its end in another process with the end that is stored', async () => {
    const memory = new RunMemory()
    const [store, otherStore] = [new FailoverRuns(memory), new FailoverRuns(memory)]
    otherStore.watchers = store.watchers
    store.loses = ({ first, end }) => first > 1 && first < 4 && !end
    const source = new PushSource()
    await openRuns({ store }).start('a', (signal) => source.read(signal))
    const run = await openRuns({ store: otherStore }).get('a')
    const ended = run?.whenEnded()
    for (const data of ['a', 'b', 'c', 'd']) {
      await settled()
      source.push(text(data))
    }
    expect(await ended).toBe('lost')
  })

  test('does not read in a loop for a client that is behind, and reports a gap', async () => {
    const { store, runs, transport } = await startLossy('x'.repeat(70_000))
    const { reads } = store
    const behind = fakeStream({}, idsOf(transport)[0])
    await runs.subscribe(behind.stream, 'a')
    await vi.waitFor(() => expect(behind.stream.closed).toBe(true), 10_000)
    expect(store.reads - reads).toBeLessThan(50)
    await settled()
    expect(runEventsOf(behind.transport)).toEqual(['gap {"reason":"unknown"}'])
  })
})
