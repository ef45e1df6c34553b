import { onTestFinished } from 'vitest'
import { type RedisClient, type RedisRunsOptions, redisRuns } from '../../src/stores/redis/index.ts'
import type { RunBatch, RunRetention, RunStore, StoredBatch } from '../../src/stores/run-store.ts'
import { key } from './redis-hub.ts'

export const HOUR = 3_600_000
export const all: RunRetention = { evictBefore: 0 }
// Node.js warns of more than 10 listeners to one signal.
export const newSignal = () => new AbortController().signal

/** The store of a process, on the key of the test. It is closed after the test. */
export function openRuns(client: RedisClient, options: RedisRunsOptions = {}): RunStore {
  const store = redisRuns(client, { key, ...options })
  onTestFinished(() => store.close())
  return store
}

/** Returns a batch of events with these texts. */
export function batch(first: number, ...texts: string[]): RunBatch {
  return { first, events: texts.map((data) => ({ data, isText: true })) }
}

/** Starts a run. Returns the functions of its owner. */
export async function startRun(store: RunStore, id = 'run') {
  const { epoch } = await store.start(id, 'me', HOUR)
  return {
    id,
    epoch,
    append: (each: RunBatch, abort = newSignal()) => store.append(id, epoch, each, all, abort),
    texts: async (from = store) => textsOf(await from.read(id, epoch, { number: 0 }, 1e6, newSignal())),
  }
}

export function textsOf(batches: readonly StoredBatch[] | undefined): string[] | undefined {
  return batches?.flatMap(({ events }) => events.map(({ data }) => data))
}

/** Collects a run as a process with a subscriber does: from messages, and by reads once some may be missing. */
export async function collect(store: RunStore, id: string, epoch: string) {
  const texts: string[] = []
  let interruptions = 0
  const add = ({ first, events }: RunBatch) => {
    for (const [i, { data }] of events.entries()) if (first + i === texts.length + 1) texts.push(data)
  }
  const catchUp = async () => {
    const batches = await store.read(id, epoch, { number: texts.length }, 1e6, newSignal())
    for (const each of batches ?? []) add(each)
  }
  const watch = store.watch(id, epoch, {
    onBatch: (each) => (each.first > texts.length + 1 ? void catchUp() : add(each)),
    onInterruption: () => {
      interruptions += 1
      void catchUp()
    },
  })
  await watch.ready
  await catchUp()
  return { texts, watch, interruptions: () => interruptions }
}
