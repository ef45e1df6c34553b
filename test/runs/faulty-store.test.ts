import { describe, expect, test, vi } from 'vitest'
import { SseError } from '../../src/errors.ts'
import { MemoryRuns, RunMemory } from '../../src/stores/memory/memory-runs.ts'
import type { RunBatch, RunRetention, RunWatch, RunWatcher } from '../../src/stores/run-store.ts'
import { deferred } from '../support/deferred.ts'
import { sseError } from '../support/hub.ts'
import { closed, openRuns, PushSource, runEventsOf } from '../support/runs.ts'
import { fakeStream, settled } from '../support/streams.ts'

const text = (data: string) => ({ event: 'text', data })

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
