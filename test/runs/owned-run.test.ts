import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { SseError } from '../../src/errors.ts'
import { MemoryRuns, RunMemory } from '../../src/stores/memory/memory-runs.ts'
import type { RunBatch, RunRetention, RunState } from '../../src/stores/run-store.ts'
import { deferred } from '../support/deferred.ts'
import { sseError } from '../support/hub.ts'
import { openRuns, PushSource, RestlessSource, text } from '../support/runs.ts'
import { settled } from '../support/streams.ts'

const HOUR = 3_600_000
const reject = (message: string) => Promise.reject(new SseError('ERR_SSE_STORE', message))
const KILOBYTE = text('x'.repeat(1_024))

afterEach(() => vi.useRealTimers())

type Append = (store: () => boolean, batch: RunBatch, signal: AbortSignal | undefined) => unknown

/** A store whose appends and look-ups a test replaces. */
class ScriptedRuns extends MemoryRuns {
  onAppend: Append = (store) => store()
  onFind: (state: RunState | undefined) => unknown = (state) => state

  override append(id: string, epoch: string, batch: RunBatch, limits: RunRetention, signal?: AbortSignal) {
    return this.onAppend(() => super.append(id, epoch, batch, limits), batch, signal) as never
  }

  override find(id: string): never {
    return this.onFind(super.find(id)) as never
  }
}

/** Returns `Runs` on a store that appends nothing until it is released, or the append is aborted. */
function openHeld() {
  const released = deferred<void>()
  const store = new ScriptedRuns()
  store.onAppend = (append, _batch, signal) =>
    new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason))
      void released.promise.then(() => resolve(append()))
    })
  const release = () => {
    store.onAppend = (append) => append()
    released.resolve()
  }
  return { runs: openRuns({ store, closeTimeout: HOUR }), release }
}

function textsIn(memory: RunMemory): string[] {
  const store = new MemoryRuns(memory)
  const { epoch = '' } = store.find('a') ?? {}
  const batches = store.read('a', epoch, { number: 0 }, 1e6) ?? []
  return batches.flatMap(({ events }) => events.map(({ data }) => data))
}

describe('the source of a run', () => {
  test('does not block the process if it yields events without a pause', async () => {
    const source = new RestlessSource()
    const run = await openRuns().start('a', (signal) => source.read(signal))
    await pause(20)
    expect(await run.stop()).toBe(true)
    expect(source.isOver).toBe(false)
    expect(await run.whenEnded()).toBe('stopped')
  })

  test('is paused while the store does not accept its events', async () => {
    const { runs, release } = openHeld()
    let yielded = 0
    const run = await runs.start('a', async function* () {
      for (; yielded < 100; yielded++) yield KILOBYTE
    })
    await settled()
    expect(yielded).toBeGreaterThan(10)
    expect(yielded).toBeLessThan(40)
    release()
    expect(await run.whenEnded()).toBe('done')
    expect(yielded).toBe(100)
  })

  test('is closed at a shutdown while it is paused', async () => {
    const { runs, release } = openHeld()
    const source = new PushSource()
    const run = await runs.start('a', (signal) => source.read(signal))
    source.push(...Array.from({ length: 40 }, () => KILOBYTE))
    await settled()
    const shutDown = runs.shutdown({ grace: 0 })
    await vi.waitFor(() => expect(source.isClosed).toBe(true))
    // The store accepts no end before.
    release()
    expect(await run.whenEnded()).toBe('lost')
    await shutDown
  })

  test('reports no error that a stop has caused', async () => {
    const runs = openRuns()
    const run = await runs.start('a', async function* (signal) {
      yield text('a')
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    await settled()
    await run.stop()
    await settled()
    expect([await run.whenEnded(), runs.errors]).toEqual(['stopped', []])
  })
})

describe('the owner of a run', () => {
  test('appends nothing after a batch that the store has rejected, except the end', async () => {
    const memory = new RunMemory()
    const store = new ScriptedRuns(memory)
    const rejected = deferred<never>()
    store.onAppend = (append, { events }) => (events[0]?.data === 'large' ? rejected.promise : append())
    const runs = openRuns({ store })
    const source = new PushSource()
    const run = await runs.start('a', (signal) => source.read(signal))
    source.push(text('large'))
    await settled()
    source.push(text('next'))
    await settled()
    rejected.reject(new SseError('ERR_SSE_STORE', 'too large'))
    expect(await run.whenEnded()).toBe('error')
    expect(textsIn(memory)).toEqual(['{"reason":"error"}'])
  })

  test('reports a run as lost if its last batch was acknowledged and then lost', async () => {
    const memory = new RunMemory()
    const store = new ScriptedRuns(memory)
    store.onAppend = (append, { events }) => events[0]?.data === 'b' || append()
    const runs = openRuns({ store })
    const source = new PushSource()
    const run = await runs.start('a', (signal) => source.read(signal))
    source.push(text('a'))
    await settled()
    source.push(text('b'))
    source.end()
    expect(await run.whenEnded()).toBe('lost')
    expect(textsIn(memory)).toEqual(['a', '{"reason":"lost"}'])
  })

  test('reports the end that is stored, although the store has refused its own', async () => {
    const store = new ScriptedRuns()
    // A repetition whose first reply was lost.
    store.onAppend = (append, { end }) => append() && !end
    const run = await openRuns({ store }).start('a', () => [text('a')])
    expect(await run.whenEnded()).toBe('done')
  })

  test('does not report the end of the run that has replaced its own', async () => {
    const memory = new RunMemory()
    const other = openRuns({ store: new MemoryRuns(memory) })
    const source = new PushSource()
    const run = await openRuns({ store: new MemoryRuns(memory) }).start('a', (signal) => source.read(signal))
    await new MemoryRuns(memory).remove('a')
    await (await other.start('a', () => [text('b')])).whenEnded()
    source.end()
    expect(await run.whenEnded()).toBe('lost')
    expect(textsIn(memory)).toEqual(['b', '{"reason":"done"}'])
  })

  test('looks its run up again after an outage', async () => {
    const store = new ScriptedRuns()
    let failures = 2
    store.onAppend = (append, { end }) => append() && !end
    store.onFind = (state) => {
      failures -= 1
      return failures < 0 ? state : Promise.reject(new SseError('ERR_SSE_STORE', 'down'))
    }
    const run = await openRuns({ store }).start('a', () => [text('a')])
    expect(await run.whenEnded()).toBe('done')
    expect(failures).toBe(-1)
  })

  test('appends the default end if the store rejects that of endEvent, and reports the error', async () => {
    const memory = new RunMemory()
    const store = new ScriptedRuns(memory)
    store.onAppend = (append, { events }) => (events[0]?.data === 'large' ? reject('too large') : append())
    const endEvent = () => [{ data: 'large' }, { data: 'next' }]
    const runs = openRuns({ store, endEvent, errorMessage: () => 'message' })
    const run = await runs.start('a', () => {
      throw new Error('source')
    })
    expect(await run.whenEnded()).toBe('error')
    expect(store.find('a')).toMatchObject({ end: 'error', last: 1 })
    expect(textsIn(memory)).toEqual(['{"reason":"error"}'])
    await settled()
    expect(runs.errors).toEqual([new Error('source'), sseError('ERR_SSE_STORE')])
  })

  test('retries the default end until the store accepts it, and reports two errors', async () => {
    vi.useFakeTimers()
    const memory = new RunMemory()
    const store = new ScriptedRuns(memory)
    let rejections = 0
    store.onAppend = (append, { end }) => (end && ++rejections <= 6 ? reject('rejected') : append())
    const runs = openRuns({ store })
    const run = await runs.start('a', (signal) => new PushSource().read(signal))
    const stopped = run.stop()
    await vi.advanceTimersByTimeAsync(500 + 1_000 + 2_000)
    expect([rejections, textsIn(memory)]).toEqual([5, []])
    await vi.advanceTimersByTimeAsync(4_000 + 5_000)
    expect([await stopped, await run.whenEnded()]).toEqual([true, 'stopped'])
    expect(textsIn(memory)).toEqual(['{"reason":"stopped"}'])
    expect(runs.errors).toEqual([sseError('ERR_SSE_STORE'), sseError('ERR_SSE_STORE')])
  })

  test('does not end a run that was removed after the store has rejected its end', async () => {
    vi.useFakeTimers()
    const store = new ScriptedRuns()
    let isRejecting = true
    store.onAppend = (append, { end }) => (end && isRejecting ? reject('rejected') : append())
    const run = await openRuns({ store }).start('a', () => [text('a')])
    await vi.advanceTimersByTimeAsync(100)
    await store.remove('a')
    isRejecting = false
    await vi.advanceTimersByTimeAsync(500)
    expect(await run.whenEnded()).toBe('lost')
    expect(store.find('a')).toBeUndefined()
  })

  test('reports the run as lost at a shutdown if the store rejects each end', async () => {
    vi.useFakeTimers()
    const store = new ScriptedRuns()
    store.onAppend = (append, { end }) => (end ? reject('rejected') : append())
    const runs = openRuns({ store, closeTimeout: 1 })
    const run = await runs.start('a', () => [text('a')])
    const shutDown = runs.shutdown({ grace: 0, retry: 0 })
    await vi.advanceTimersByTimeAsync(5_000)
    await shutDown
    expect(await run.whenEnded()).toBe('lost')
  })
})
