import { expect, test } from 'vitest'
import { resolveOptions } from '../../src/http/options.ts'
import { MemoryRuns, RunMemory } from '../../src/stores/memory/memory-runs.ts'
import type { RunWatch, RunWatcher } from '../../src/stores/run-store.ts'
import { SseStream } from '../../src/stream/stream.ts'
import { deferred } from '../support/deferred.ts'
import { FakeTransport } from '../support/fake-transport.ts'
import { countHeld } from '../support/garbage.ts'
import { openRuns, PushSource, runEventsOf } from '../support/runs.ts'
import { fakeStream, settled } from '../support/streams.ts'

/** Returns `Runs` whose store is watched only once `ready` resolves, as in an outage of a broker. */
async function openUnwatched() {
  const ready = deferred<void>()
  class Unwatched extends MemoryRuns {
    override watch(id: string, epoch: string, watcher: RunWatcher): RunWatch {
      return { ...super.watch(id, epoch, watcher), ready: ready.promise }
    }
  }
  const memory = new RunMemory()
  const source = new PushSource()
  const store = new Unwatched(memory)
  const runs = openRuns({ store })
  await openRuns({ store: new MemoryRuns(memory) }).start('a', (signal) => source.read(signal))
  const isWatched = () => store.isWatched('a', store.find('a')?.epoch ?? '')
  return { runs, source, ready, isWatched }
}

/** Subscribes clients that disconnect before the run is found. */
function subscribeAndLose(runs: ReturnType<typeof openRuns>) {
  return Array.from({ length: 20 }, () => {
    const transport = new FakeTransport()
    const stream = SseStream._open(transport, resolveOptions({}), 'new')
    void runs.subscribe(stream, 'a')
    transport.lose()
    return new WeakRef(stream)
  })
}

test('a run that cannot be watched yet holds no stream that was closed meanwhile', async () => {
  const { runs, ready, isWatched } = await openUnwatched()
  expect(await countHeld(subscribeAndLose(runs))).toBeLessThan(2)
  ready.resolve()
  await settled()
  expect(isWatched()).toBe(false)
  expect([runs.size, runs.errors]).toEqual([0, []])
})

test('a client that waits until its run is watched receives the events, although others have disconnected', async () => {
  const { runs, source, ready, isWatched } = await openUnwatched()
  subscribeAndLose(runs)
  const { stream, transport } = fakeStream()
  const subscribed = runs.subscribe(stream, 'a')
  source.push({ data: '1' })
  await settled()
  ready.resolve()
  await subscribed
  await settled()
  source.push({ data: '2' })
  await settled()
  expect(runEventsOf(transport)).toEqual(['message 1', 'message 2'])
  expect([isWatched(), runs.size]).toEqual([true, 1])
})
