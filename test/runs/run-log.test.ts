import { describe, expect, test, vi } from 'vitest'
import { SseError } from '../../src/errors.ts'
import { RunLog } from '../../src/runs/run-log.ts'
import type { RunPage } from '../../src/runs/run-page.ts'
import { MemoryRuns, RunMemory } from '../../src/stores/memory/memory-runs.ts'
import type { RunBatch, RunPosition, RunState, RunWatch, RunWatcher } from '../../src/stores/run-store.ts'
import { sseError } from '../support/hub.ts'
import { closed, openRuns, PushSource, runEventsOf, text } from '../support/runs.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

const batchAt = (first: number): RunBatch => ({
  first,
  events: [{ event: 'text', data: `${first}`, isText: true }],
})
const GAP = 'gap {"reason":"evicted"}'

/** A store whose reports and pages a test chooses. */
class ScriptedRuns extends MemoryRuns {
  watcher: RunWatcher | undefined
  pages: (after: number) => readonly RunBatch[] | undefined = () => []
  closes = 0
  ready: Promise<void> | undefined
  readonly reads: number[] = []

  override watch(_id: string, _epoch: string, watcher: RunWatcher): RunWatch {
    this.watcher = watcher
    const close = () => {
      this.closes += 1
    }
    return { ready: this.ready, close }
  }

  override read(_id: string, _epoch: string, { number }: RunPosition): readonly RunBatch[] | undefined {
    this.reads.push(number)
    return this.pages(number)
  }
}

async function openLog() {
  const store = new ScriptedRuns()
  const { epoch } = await store.start('a', 'owner', 60_000)
  const log = (await RunLog.open(store, 'a')) as RunLog
  const numbersAfter = (number: number) => {
    const page = log.read({ number }, 1e6, new AbortController().signal) as RunPage
    return page.entries.map((entry) => entry.number)
  }
  return { store, epoch, log, watcher: store.watcher as RunWatcher, numbersAfter }
}

/** Subscribes a stream to a run whose reports and pages a test chooses. */
async function subscribe() {
  const store = new ScriptedRuns()
  const runs = openRuns({ store })
  await store.start('a', 'owner', 60_000)
  const join = async () => {
    const { stream, transport } = fakeStream()
    await runs.subscribe(stream, 'a')
    await settled()
    return { stream, transport, events: () => runEventsOf(transport) }
  }
  return { store, runs, join, first: await join(), watcher: store.watcher as RunWatcher }
}

describe('the log of a run', () => {
  test('ignores batches that it has, and those that come after it was closed', async () => {
    const { log, watcher, numbersAfter } = await openLog()
    for (const number of [1, 2, 1, 2, 3]) watcher.onBatch(batchAt(number))
    expect([log.position, numbersAfter(0)]).toEqual([3, [1, 2, 3]])
    log.close()
    watcher.onBatch(batchAt(4))
    expect(log.position).toBe(3)
  })

  test('is read page by page after an interruption', async () => {
    const { store, log, watcher, numbersAfter } = await openLog()
    store.pages = (after) => (after < 3 ? [batchAt(after + 1)] : [])
    watcher.onInterruption()
    await settled()
    expect([log.position, numbersAfter(0)]).toEqual([3, [1, 2, 3]])
    expect(store.reads).toEqual([0, 1, 2, 3])
  })

  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])(
    'is read again for a batch that is reported %i microtasks after another one is read',
    async (microtasks) => {
      const { store, log, watcher } = await openLog()
      let last = 2
      store.pages = (after) => (after < last ? [batchAt(after + 1)] : [])
      watcher.onBatch(batchAt(2))
      for (let left = microtasks; left > 0; left--) await null
      last = 4
      watcher.onBatch(batchAt(4))
      await settled()
      expect(log.position).toBe(4)
    },
  )

  test('is not read when it is quiet after its end, or was busy', async () => {
    const { store, log, watcher } = await openLog()
    log.readIfQuiet()
    watcher.onBatch(batchAt(1))
    log.readIfQuiet()
    await settled()
    expect(store.reads).toEqual([])
    log.readIfQuiet()
    await settled()
    expect(store.reads).toEqual([1])
    watcher.onBatch({ ...batchAt(2), end: 'done' })
    log.readIfQuiet()
    log.readIfQuiet()
    await settled()
    expect(store.reads).toEqual([1])
  })

  test('is not watched any more once its run was removed', async () => {
    const { store, log, watcher } = await openLog()
    store.pages = () => undefined
    watcher.onInterruption()
    await settled()
    expect([log.isRemoved, store.closes]).toEqual([true, 1])
  })

  test('is closed after an interruption if the store has lost events of it', async () => {
    const { store, log, watcher } = await openLog()
    watcher.onBatch(batchAt(1))
    watcher.onInterruption()
    await vi.waitFor(() => expect(log.isRemoved).toBe(true), 10_000)
    expect([log.hasLostEvents, store.closes]).toEqual([true, 1])
  })

  test('is closed after an interruption if another run has its id', async () => {
    const { store, log, watcher } = await openLog()
    store.find = () => ({ epoch: 'other', owner: 'x', last: 5 })
    watcher.onBatch(batchAt(1))
    watcher.onInterruption()
    await vi.waitFor(() => expect(log.isRemoved).toBe(true), 10_000)
    expect(log.hasLostEvents).toBe(false)
  })

  test('is kept after an interruption if the store is late', async () => {
    const { store, epoch, log, watcher } = await openLog()
    let finds = 0
    store.find = () => {
      finds += 1
      if (finds === 1) throw new SseError('ERR_SSE_STORE', 'down')
      return { epoch, owner: 'owner', last: finds > 3 ? 1 : 0 }
    }
    watcher.onBatch(batchAt(1))
    watcher.onInterruption()
    await vi.waitFor(() => expect(finds).toBe(4), 10_000)
    await settled()
    expect([log.isRemoved, log.position, finds]).toEqual([false, 1, 4])
  })

  test('is closed by an end whose number is that of an event which it has', async () => {
    const { log, watcher, numbersAfter } = await openLog()
    for (const number of [1, 2, 3]) watcher.onBatch(batchAt(number))
    watcher.onBatch({ ...batchAt(2), end: 'lost' })
    expect([log.isRemoved, log.hasLostEvents, log.end]).toEqual([true, true, undefined])
    expect(numbersAfter(0)).toEqual([1, 2, 3])
  })

  test.each([
    ['was replaced', { epoch: 'other', owner: 'x', last: 5 }],
    ['was removed', undefined],
  ])('is not opened, and not watched, if its run %s while that was prepared', async (_, state) => {
    const store = new ScriptedRuns()
    const { epoch } = await store.start('a', 'owner', 60_000)
    store.ready = settled()
    const states: Array<RunState | undefined> = [{ epoch, owner: 'owner', last: 0 }, state]
    store.find = () => states.shift()
    expect(await RunLog.open(store, 'a')).toBeUndefined()
    expect(store.closes).toBe(1)
  })

  test('has a batch that was appended between the lookup of its run and the watch', async () => {
    class LateRuns extends MemoryRuns {
      override find(id: string): never {
        const state = super.find(id)
        return nextTurn().then(() => state) as never
      }
    }
    const store = new LateRuns()
    const { epoch } = await store.start('a', 'owner', 60_000)
    const opened = RunLog.open(store, 'a')
    store.append('a', epoch, batchAt(1), { evictBefore: 0 })
    expect(await opened).toMatchObject({ position: 1 })
  })

  test('is not watched if the store fails while it is opened', async () => {
    const store = new ScriptedRuns()
    const { epoch } = await store.start('a', 'owner', 60_000)
    store.ready = settled()
    let finds = 0
    store.find = () => {
      finds += 1
      if (finds > 1) throw new SseError('ERR_SSE_STORE', 'down')
      return { epoch, owner: 'owner', last: 0 }
    }
    await expect(RunLog.open(store, 'a')).rejects.toThrow(sseError('ERR_SSE_STORE'))
    expect(store.closes).toBe(1)
  })
})

describe('a subscriber', () => {
  test('gets a gap if events between the newest ones were evicted, also when it comes later', async () => {
    const { store, first, watcher, join } = await subscribe()
    watcher.onBatch(batchAt(1))
    await settled()
    store.pages = (after) => (after < 10 ? [batchAt(10)] : [])
    watcher.onInterruption()
    await settled()
    expect(first.events()).toEqual(['text 1', GAP, 'text 10'])
    expect((await join()).events()).toEqual([GAP, 'text 10'])
  })

  test('gets a gap if a single event was evicted', async () => {
    const { store, watcher, join } = await subscribe()
    store.pages = (after) => (after < 2 ? [batchAt(2)] : [])
    watcher.onInterruption()
    await settled()
    expect((await join()).events()).toEqual([GAP, 'text 2'])
  })

  test('gets a gap and the end of its stream when its run is removed', async () => {
    const memory = new RunMemory()
    const runs = openRuns({ store: new MemoryRuns(memory) })
    const source = new PushSource()
    await runs.start('a', (signal) => source.read(signal))
    source.push(text('a'))
    const { stream, transport } = fakeStream()
    await runs.subscribe(stream, 'a')
    await settled()
    await new MemoryRuns(memory).remove('a')
    expect(await closed(stream)).toBe('server')
    expect(runEventsOf(transport)).toEqual(['text a', 'gap {"reason":"unknown"}'])
    transport.lose()
    await settled()
    expect(runs.size).toBe(0)
  })
})

describe('the wait for the end of a run', () => {
  test('resolves with undefined when the run is removed', async () => {
    const memory = new RunMemory()
    const owner = openRuns({ store: new MemoryRuns(memory) })
    await owner.start('a', (signal) => new PushSource().read(signal))
    const run = await openRuns({ store: new MemoryRuns(memory) }).get('a')
    const ended = run?.whenEnded()
    await settled()
    await new MemoryRuns(memory).remove('a')
    expect(await ended).toBeUndefined()
  })

  test('rejects at the shutdown of its process, and at once after it', async () => {
    const memory = new RunMemory()
    const owner = openRuns({ store: new MemoryRuns(memory) })
    await owner.start('a', (signal) => new PushSource().read(signal))
    const other = openRuns({ store: new MemoryRuns(memory) })
    const run = await other.get('a')
    const ended = expect(run?.whenEnded()).rejects.toThrow(sseError('ERR_SSE_SHUT_DOWN'))
    await settled()
    await other.shutdown({ grace: 0 })
    await ended
    await expect(run?.whenEnded()).rejects.toThrow(sseError('ERR_SSE_SHUT_DOWN'))
  })
})
