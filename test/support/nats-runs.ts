import { onTestFinished } from 'vitest'
import { type JetStreamRunsOptions, jetstreamRuns } from '../../src/stores/nats/index.ts'
import type { RunBatch, RunRetention, RunStore, StoredBatch } from '../../src/stores/run-store.ts'
import { NEVER } from './nats-driver.ts'
import { openConnection } from './nats-hub.ts'

const LEASE = 2_000
const HOUR = 3_600_000

/** Opens the store of runs of another process. It is closed after the test. */
export async function openRuns(port: number, owner: string, options?: JetStreamRunsOptions) {
  const connection = await openConnection(port)
  const store = jetstreamRuns(connection, options)
  store.serve({ name: owner, onStop: () => {} }, LEASE)
  onTestFinished(() => store.close())
  return { store, connection }
}

/** Returns a batch of events with these texts. */
export function batchOf(first: number, ...texts: string[]): RunBatch {
  return { first, events: texts.map((data) => ({ event: undefined, data, isText: true })) }
}

export function textsOf(batches: readonly StoredBatch[] | undefined): string[] | undefined {
  return batches?.flatMap(({ events }) => events.map(({ data }) => data))
}

/** Starts a run, with functions that use it. */
export async function startRun(store: RunStore, id: string, maxAge = HOUR) {
  const { epoch } = await store.start(id, 'me', maxAge)
  const append = (batch: RunBatch, retention: Partial<RunRetention> = {}, signal = NEVER) =>
    store.append(id, epoch, batch, { evictBefore: 0, ...retention }, signal)
  const read = (number: number, place?: string, from = store, bytes = 1e6) =>
    from.read(id, epoch, { number, place }, bytes, NEVER)
  return { id, epoch, append, read }
}

/** Collects the texts of a run as a subscriber does: live, and by a read after an interruption or a gap. */
export async function follow(store: RunStore, id: string, epoch: string) {
  const texts: string[] = []
  let [number, place, interruptions] = [0, '', 0]
  const take = (batch: StoredBatch) => {
    if (batch.first > number + 1) return false
    texts.push(...batch.events.slice(number + 1 - batch.first).map(({ data }) => data))
    number = Math.max(number, batch.first + batch.events.length - 1)
    place = batch.place ?? ''
    return true
  }
  let reading = Promise.resolve()
  const read = async () => {
    for (;;) {
      const batches = await store.read(id, epoch, { number, place }, 1e6, NEVER)
      for (const batch of batches ?? []) take(batch)
      if (!batches?.length) return
    }
  }
  const catchUp = () => {
    // Rejects if the test has closed the store.
    reading = reading.then(read).catch(() => {})
  }
  const watch = store.watch(id, epoch, {
    onBatch: (batch) => take(batch) || catchUp(),
    onInterruption: () => {
      interruptions += 1
      catchUp()
    },
  })
  await watch.ready
  catchUp()
  await reading
  return {
    texts,
    close: () => watch.close(),
    get interruptions() {
      return interruptions
    },
  }
}
