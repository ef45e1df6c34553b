import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { SseError } from '../../src/errors.ts'
import { OwnerWatch } from '../../src/runs/owner-watch.ts'
import { RunLog } from '../../src/runs/run-log.ts'
import type { Runs } from '../../src/runs/runs.ts'
import { MemoryRuns, RunMemory } from '../../src/stores/memory/memory-runs.ts'
import type { RunBatch, RunRetention, RunWatch, RunWatcher } from '../../src/stores/run-store.ts'
import { deferred } from '../support/deferred.ts'
import { batchAt, EvictingRuns } from '../support/evicting-runs.ts'
import { sseError } from '../support/hub.ts'
import { closed, idsOf, openRuns, PushSource, runEventsOf, text } from '../support/runs.ts'
import { fakeStream, settled } from '../support/streams.ts'

const LOST = 'end {"reason":"lost"}'

afterEach(() => vi.useRealTimers())

/** A store that withholds what is stored from watchers, until it is released. */
class LateRuns extends MemoryRuns {
  #release = () => {}
  readonly #released = new Promise<void>((resolve) => {
    this.#release = resolve
  })

  release(): void {
    this.#release()
  }

  override watch(id: string, epoch: string, watcher: RunWatcher): RunWatch {
    return super.watch(id, epoch, {
      onBatch: (batch) => void this.#released.then(() => watcher.onBatch(batch)),
      onInterruption: () => void this.#released.then(() => watcher.onInterruption()),
    })
  }
}

/** Returns a process that is up to date, and one that is not. */
function openLate() {
  const memory = new RunMemory()
  const store = new LateRuns(memory)
  const first = openRuns({ store: new MemoryRuns(memory) })
  return { first, late: openRuns({ store }), store }
}

async function receivedFrom(runs: Runs, id: string, lastEventId?: string): Promise<string[]> {
  const { stream, transport } = fakeStream({}, lastEventId)
  await runs.subscribe(stream, id)
  await closed(stream)
  return runEventsOf(transport)
}

describe('the source of a run', () => {
  test('is not reported as done if its last events were not stored when the lease was lost', async () => {
    class Stuck extends MemoryRuns {
      override append(
        id: string,
        epoch: string,
        batch: RunBatch,
        retention: RunRetention,
        signal?: AbortSignal,
      ): never {
        if (batch.events[0]?.data !== 'b') return super.append(id, epoch, batch, retention) as never
        return new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason))
        }) as never
      }
    }
    const memory = new RunMemory()
    const first = openRuns({ store: new Stuck(memory) })
    const source = new PushSource()
    await first.start('a', (signal) => source.read(signal))
    source.push(text('a'))
    await settled()
    source.push(text('b'))
    source.end()
    await vi.waitFor(() => expect(source.isClosed).toBe(true))
    await first.shutdown({ grace: 0 })
    expect(await receivedFrom(openRuns({ store: new MemoryRuns(memory) }), 'a')).toEqual(['text a', LOST])
  })

  test('has an end after a batch that was stored although its append was aborted', async () => {
    class Deaf extends MemoryRuns {
      override append(
        id: string,
        epoch: string,
        batch: RunBatch,
        retention: RunRetention,
        signal?: AbortSignal,
      ): never {
        const isStored = super.append(id, epoch, batch, retention)
        if (batch.events[0]?.data !== 'b') return isStored as never
        return new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason))
        }) as never
      }
    }
    const memory = new RunMemory()
    const first = openRuns({ store: new Deaf(memory) })
    const source = new PushSource()
    await first.start('a', (signal) => source.read(signal))
    source.push(text('a'))
    await settled()
    source.push(text('b'))
    await settled()
    await first.shutdown({ grace: 0 })
    const other = new MemoryRuns(memory)
    expect(other.find('a')?.end).toBe('lost')
    expect(await receivedFrom(openRuns({ store: other }), 'a')).toEqual(['text a', 'text b', LOST])
  })

  test('is closed when its run was ended as lost, even if it yields nothing', async () => {
    class Wrong extends MemoryRuns {
      override isAlive(): boolean {
        return false
      }
    }
    const memory = new RunMemory()
    const first = openRuns({ store: new MemoryRuns(memory) })
    const second = openRuns({ store: new Wrong(memory), lease: 1_000 })
    const source = new PushSource()
    const run = await first.start('a', (signal) => source.read(signal))
    expect(await receivedFrom(second, 'a')).toEqual([LOST])
    expect(await run.whenEnded()).toBe('lost')
    expect(source.isClosed).toBe(true)
  })
})

describe('the stop of a lost run', () => {
  test('is not requested if its owner has appended meanwhile', async () => {
    const attempted = vi.fn()
    class Late extends MemoryRuns {
      override isAlive(): boolean {
        return false
      }
      override append(id: string, epoch: string, batch: RunBatch, retention: RunRetention): boolean {
        if (batch.end !== 'lost') return super.append(id, epoch, batch, retention)
        attempted()
        return false
      }
    }
    const memory = new RunMemory()
    const first = openRuns({ store: new MemoryRuns(memory) })
    const second = openRuns({ store: new Late(memory), lease: 1_000 })
    const source = new PushSource()
    await first.start('a', (signal) => source.read(signal))
    const { stream, transport } = fakeStream()
    await second.subscribe(stream, 'a')
    await vi.waitFor(() => expect(attempted).toHaveBeenCalled(), 10_000)
    await settled()
    expect(source.isClosed).toBe(false)
    source.push(text('a'))
    source.end()
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['text a', 'end {"reason":"done"}'])
  })
})

describe('a process that is not up to date', () => {
  test('reports no gap to a client that has received more from another process', async () => {
    const { first, late, store } = openLate()
    const source = new PushSource()
    await first.start('a', (signal) => source.read(signal))
    const present = fakeStream()
    await late.subscribe(present.stream, 'a')
    const elsewhere = fakeStream()
    await first.subscribe(elsewhere.stream, 'a')
    source.push(text('a'), text('b'))
    await settled()
    const again = fakeStream({}, idsOf(elsewhere.transport)[1])
    await late.subscribe(again.stream, 'a')
    source.push(text('c'))
    source.end()
    await settled()
    store.release()
    await closed(again.stream)
    expect(runEventsOf(again.transport)).toEqual(['text c', 'end {"reason":"done"}'])
  })

  test('sends the run that has replaced the one which it has read', async () => {
    const { first, late } = openLate()
    await first.start('a', (signal) => new PushSource().read(signal))
    const present = fakeStream()
    await late.subscribe(present.stream, 'a')
    await first.delete('a')
    const again = await first.start('a', () => [text('b'), text('c')])
    await again.whenEnded()
    const { stream, transport } = fakeStream()
    await first.subscribe(stream, 'a')
    await closed(stream)
    expect(await receivedFrom(late, 'a', idsOf(transport)[0])).toEqual(['text c', 'end {"reason":"done"}'])
  })

  test('passes only consecutive events on as a batch', async () => {
    const store = new EvictingRuns()
    await store.start('a', 'owner', 60_000)
    const log = (await RunLog.open(store, 'a')) as RunLog
    const batches: Array<{ first: number; last: number }> = []
    log.add({
      deliver: ({ first, last }) => void batches.push({ first, last }),
      onRemoved: () => {},
    })
    store.watcher?.onBatch(batchAt(1))
    store.watcher?.onInterruption()
    await settled()
    log.close()
    expect(batches).toEqual([{ first: 10, last: 10 }])
  })
})

describe('the check of an owner', () => {
  const LEASE = 1_000

  function watchOwner(isAlive: () => Promise<boolean>, lease = LEASE) {
    vi.useFakeTimers()
    const store = Object.assign(new MemoryRuns(), { isAlive: vi.fn(isAlive) })
    const onDead = vi.fn()
    const watch = new OwnerWatch(store as MemoryRuns, 'own', lease, onDead)
    const log = { owner: 'x', end: undefined, readIfQuiet: () => {} } as RunLog
    watch.add(log)
    onTestFinished(() => watch.remove(log))
    return { onDead, isAlive: store.isAlive, watch, log }
  }

  test('is not made twice at a time, and counts as an outage if it takes long', async () => {
    let answer = deferred<boolean>()
    const { onDead, isAlive } = watchOwner(() => answer.promise)
    await vi.advanceTimersByTimeAsync(3 * LEASE)
    expect(isAlive).toHaveBeenCalledTimes(1)
    answer.resolve(false)
    answer = deferred<boolean>()
    answer.resolve(false)
    await vi.advanceTimersByTimeAsync(0.8 * LEASE)
    expect(onDead).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(0.5 * LEASE)
    expect(onDead).toHaveBeenCalled()
  })

  test('is no outage if a fifth of the shortest lease is awaited, and the deadline is late', async () => {
    const { onDead } = watchOwner(async () => {
      await new Promise((resolve) => setTimeout(resolve, 0.2 * 1_000 + 150))
      return false
    }, 1_000)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(onDead).toHaveBeenCalled()
  })

  test('gives the owner a lease after an outage, and less without one', async () => {
    let isDown = true
    const { onDead } = watchOwner(async () => {
      if (isDown) throw new Error('down')
      return false
    })
    await vi.advanceTimersByTimeAsync(3 * LEASE)
    isDown = false
    await vi.advanceTimersByTimeAsync(0.8 * LEASE)
    expect(onDead).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(0.5 * LEASE)
    expect(onDead).toHaveBeenCalled()
    vi.useRealTimers()
    const calm = watchOwner(async () => false)
    await vi.advanceTimersByTimeAsync(0.6 * LEASE)
    expect(calm.onDead).toHaveBeenCalled()
  })

  test('counts the misses in a row, and ends with the run or its last subscriber', async () => {
    let isUp = false
    const { onDead, isAlive, watch, log } = watchOwner(async () => isUp)
    await vi.advanceTimersByTimeAsync(0.4 * LEASE)
    isUp = true
    await vi.advanceTimersByTimeAsync(0.2 * LEASE)
    isUp = false
    await vi.advanceTimersByTimeAsync(0.3 * LEASE)
    expect(onDead).not.toHaveBeenCalled()
    log.end = 'lost'
    await vi.advanceTimersByTimeAsync(LEASE)
    expect(onDead).not.toHaveBeenCalled()
    watch.remove(log)
    const { length } = isAlive.mock.calls
    await vi.advanceTimersByTimeAsync(LEASE)
    expect([isAlive.mock.calls.length, vi.getTimerCount()]).toEqual([length, 0])
  })
})

describe('a start', () => {
  test('that is stored although its call failed ends as lost', async () => {
    class Silent extends MemoryRuns {
      override async start(id: string, owner: string, maxAge: number): Promise<never> {
        await super.start(id, owner, maxAge)
        throw new Error('no reply')
      }
    }
    const memory = new RunMemory()
    const first = openRuns({ store: new Silent(memory) })
    const source = vi.fn(() => [text('a')])
    await expect(first.start('a', source)).rejects.toThrow('no reply')
    expect(source).not.toHaveBeenCalled()
    expect(await receivedFrom(openRuns({ store: new MemoryRuns(memory) }), 'a')).toEqual([LOST])
  })

  test('during which the process was frozen runs no source', async () => {
    class Frozen extends MemoryRuns {
      override async start(id: string, owner: string, maxAge: number): Promise<never> {
        const started = await super.start(id, owner, maxAge)
        const now = performance.now.bind(performance)
        const spy = vi.spyOn(performance, 'now').mockImplementation(() => now() + 3_600_000)
        onTestFinished(() => spy.mockRestore())
        return started as never
      }
    }
    const memory = new RunMemory()
    const first = openRuns({ store: new Frozen(memory) })
    const source = vi.fn(() => [text('a')])
    await expect(first.start('a', source)).rejects.toThrow(sseError('ERR_SSE_STORE'))
    expect(source).not.toHaveBeenCalled()
    expect(await receivedFrom(openRuns({ store: new MemoryRuns(memory) }), 'a')).toEqual([LOST])
  })

  test('keeps the lease while another one is in progress', async () => {
    const renewed = vi.fn()
    const starting = deferred<void>()
    class Slow extends MemoryRuns {
      override renew(): void {
        renewed()
      }
      override async start(id: string, owner: string, maxAge: number): Promise<never> {
        const started = await super.start(id, owner, maxAge)
        if (id === 'slow') await starting.promise
        return started as never
      }
    }
    const memory = new RunMemory()
    const first = openRuns({ store: new Slow(memory), lease: 1_000 })
    const other = openRuns({ store: new MemoryRuns(memory) })
    await other.start('a', (signal) => new PushSource().read(signal))
    const slow = first.start('slow', (signal) => new PushSource().read(signal))
    await settled()
    await first.start('a', () => [])
    starting.resolve()
    await slow
    const before = renewed.mock.calls.length
    await vi.waitFor(() => expect(renewed.mock.calls.length).toBeGreaterThan(before), 10_000)
  })
})

describe('a stop', () => {
  test('rejects with an error of the store, and leaves no rejection unhandled', async () => {
    const down = sseError('ERR_SSE_STORE')
    class Down extends MemoryRuns {
      #finds = 0
      override find(id: string): never {
        this.#finds += 1
        return (
          this.#finds > 1 ? Promise.reject(new SseError('ERR_SSE_STORE', 'down')) : super.find(id)
        ) as never
      }
      override async requestStop(): Promise<void> {
        await settled()
        throw new SseError('ERR_SSE_STORE', 'down')
      }
    }
    const memory = new RunMemory()
    const first = openRuns({ store: new MemoryRuns(memory) })
    await first.start('a', (signal) => new PushSource().read(signal))
    const unhandled = vi.fn()
    process.prependListener('unhandledRejection', unhandled)
    onTestFinished(() => void process.removeListener('unhandledRejection', unhandled))
    await expect(openRuns({ store: new Down(memory) }).stop('a')).rejects.toThrow(down)
    await settled()
    expect(unhandled).not.toHaveBeenCalled()
  })

  test('does not count as a subscriber after it has rejected', async () => {
    class Down extends MemoryRuns {
      override requestStop(): never {
        throw new SseError('ERR_SSE_STORE', 'down')
      }
    }
    const memory = new RunMemory()
    const store = new MemoryRuns(memory)
    const source = new PushSource()
    await openRuns({ store }).start('a', (signal) => source.read(signal))
    await expect(openRuns({ store: new Down(memory) }).stop('a')).rejects.toThrow(sseError('ERR_SSE_STORE'))
    await settled()
    expect(store.isWatched('a', store.find('a')?.epoch ?? '')).toBe(false)
    expect(source.isClosed).toBe(false)
  })
})

describe('a shutdown', () => {
  test('does not wait for a store that is down', async () => {
    class Down extends MemoryRuns {
      override append(_id: string, _epoch: string, _batch: RunBatch, _: RunRetention, signal?: AbortSignal) {
        return new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason))
        }) as never
      }
    }
    const runs = openRuns({ store: new Down(), closeTimeout: 1 })
    const source = new PushSource()
    const run = await runs.start('a', (signal) => source.read(signal))
    source.push(text('a'))
    await settled()
    await runs.shutdown({ grace: 0 })
    expect(await run.whenEnded()).toBe('lost')
    expect(source.isClosed).toBe(true)
  })
})
