import { afterAll, afterEach, describe, expect, test } from 'vitest'
import type { RunBatch, RunEvent, RunRetention, RunStore, StoredBatch } from '../../src/stores/run-store.ts'
import { deferred } from '../support/deferred.ts'

/** Opens the store of another process on the same broker. */
export type OpenRunStore = () => RunStore | Promise<RunStore>

const HOUR = 3_600_000
// A busy machine renews no lease of seconds in time.
const LEASE = 60_000
// Ids that are valid, and that a store has to encode.
const IDS = [
  'a b',
  'é',
  '*',
  'x.y',
  'x:y',
  '{x}',
  '{',
  '}x{',
  '>',
  '=',
  "'; --",
  '\u{1f600}',
  'x'.repeat(200),
]

let count = 0
const newId = () => `run ${++count} of ${process.pid} ${Date.now()}`
const signal = new AbortController().signal
const all: RunRetention = { evictBefore: 0 }

/** Returns a batch of events with these texts. */
const batch = (first: number, ...texts: string[]): RunBatch => ({ first, events: texts.map(toEvent) })
const toEvent = (data: string): RunEvent => ({ event: 'text', data, isText: true })
const lastBatch = (first: number): RunBatch => ({ ...batch(first, 'end'), end: 'done' })
const texts = (batches: readonly StoredBatch[] | undefined) =>
  batches?.flatMap(({ events }) => events.map(({ data }) => data))

/** Defines the tests that every `RunStore` passes. `close` ends what the suite has started. */
export function runStoreContract(name: string, connect: () => OpenRunStore, close = async () => {}): void {
  describe(name, () => {
    const stores: RunStore[] = []
    const open = async (owner = `p${++count}`): Promise<RunStore> => {
      const store = await connect()()
      store.serve({ name: owner, onStop: () => {} }, LEASE)
      stores.push(store)
      return store
    }
    const started = async (store: RunStore, id = newId()) => {
      const { epoch } = await store.start(id, 'me', HOUR)
      const append = (each: RunBatch, retention = all) => store.append(id, epoch, each, retention, signal)
      const read = (number: number, from = store, bytes = 1e6, place?: string) =>
        from.read(id, epoch, { number, place }, bytes, signal)
      return { id, epoch, append, read }
    }
    afterEach(async () => {
      for (const store of stores.splice(0)) await store.close()
    })
    afterAll(close)

    test('throws ERR_SSE_OPTION if it is given to a second Runs', async () => {
      const store = await open()
      expect(() => store.serve({ name: `p${++count}`, onStop: () => {} }, LEASE)).toThrow(
        expect.objectContaining({
          code: 'ERR_SSE_OPTION',
          message: 'This store already belongs to a Runs; create one store per Runs.',
        }),
      )
    })

    test('starts a run once across processes', async () => {
      const both = [await open(), await open()]
      const id = newId()
      const results = await Promise.all(
        both.flatMap((store) => [1, 2, 3].map(() => store.start(id, 'me', HOUR))),
      )
      expect(results.filter(({ isNew }) => isNew)).toHaveLength(1)
      expect(new Set(results.map(({ epoch }) => epoch)).size).toBe(1)
      expect(results[0]).toMatchObject({ owner: 'me', last: 0 })
      expect(results[0]?.end).toBeUndefined()
      expect(results[0]?.epoch).toMatch(/^[0-9A-Za-z]{1,40}$/)
    })

    test('finds no run that was never started', async () => {
      const store = await open()
      expect(await store.find(newId())).toBeUndefined()
      expect(await store.read(newId(), 'x', { number: 0 }, 1e6, signal)).toBeUndefined()
      expect(await store.remove(newId())).toBe(false)
      expect(await store.append(newId(), '1', batch(1, 'a'), all, signal)).toBe(false)
    })

    test.each(IDS)('keeps a run with the id %j apart from others', async (text) => {
      const store = await open()
      const id = `${text.slice(0, 170)}${newId().slice(-30)}`
      const [run, other] = [await started(store, id), await started(store)]
      await run.append(batch(1, 'a'))
      expect(texts(await run.read(0))).toEqual(['a'])
      expect(texts(await other.read(0))).toEqual([])
    })

    test('returns the events of a run to another process', async () => {
      const [store, other] = [await open(), await open()]
      const run = await started(store)
      const stored: RunEvent[] = [
        { event: 'text', data: 'a\n\u{1f600}\u2028', isText: true, retry: 5 },
        { event: undefined, data: '{"a":[1]}', isText: false },
        { event: '', data: '', isText: true },
      ]
      expect(await run.append({ first: 1, events: stored })).toBe(true)
      expect(await run.append(batch(4, 'x', 'y'))).toBe(true)
      const found = (await run.read(0, other)) as readonly StoredBatch[]
      const events = [...stored, toEvent('x'), toEvent('y')].map((each) => JSON.parse(JSON.stringify(each)))
      expect(found[0]).toMatchObject({ first: 1 })
      expect(found.flatMap((each) => each.events)).toMatchObject(events)
      expect(await other.find(run.id)).toMatchObject({
        epoch: run.epoch,
        owner: 'me',
        last: 5,
        end: undefined,
      })
    })

    test('reads after a position, in the middle of a batch too', async () => {
      const store = await open()
      const run = await started(store)
      await run.append(batch(1, 'a', 'b'))
      await run.append(batch(3, 'c'))
      await run.append(batch(4, 'd', 'e', 'f'))
      const [, second] = (await run.read(0)) as readonly StoredBatch[]
      expect(texts(await run.read(1))?.slice(-5)).toEqual(['b', 'c', 'd', 'e', 'f'])
      expect(texts(await run.read(3, store, 1e6, second?.place))).toEqual(
        expect.arrayContaining(['d', 'e', 'f']),
      )
      const [after] = (await run.read(2)) as readonly StoredBatch[]
      expect(after?.first).toBeLessThanOrEqual(3)
      expect(texts(await run.read(6))).toEqual([])
      expect(texts(await run.read(1_000))).toEqual([])
    })

    test('reads nothing after the last event of a run that has ended', async () => {
      const store = await open()
      const run = await started(store)
      await run.append(batch(1, 'a'))
      await run.append(lastBatch(2), { ...all, keep: HOUR })
      const [, last] = (await run.read(0)) as readonly StoredBatch[]
      for (const number of [2, 3, 1_000])
        for (const place of [undefined, last?.place])
          expect(await run.read(number, store, 1e6, place), `${number} ${place}`).toEqual([])
    })

    test('reads with a place that is not of the run', async () => {
      const store = await open()
      const run = await started(store)
      await run.append(batch(1, 'a'))
      for (const place of ['', '0', 'zzzz', '9'.repeat(40), 'x'.repeat(200), '-1', "'", '1 2'])
        expect(texts(await run.read(0, store, 1e6, place)) ?? [], place).toSatisfy(
          (found: string[]) => found.length <= 1,
        )
    })

    test('reads pages that are bounded in bytes, with at least one batch', async () => {
      const store = await open()
      const run = await started(store)
      const text = 'x'.repeat(1_000)
      for (let first = 1; first <= 40; first++) await run.append(batch(first, text))
      const page = (await run.read(0, store, 10_000)) as readonly StoredBatch[]
      expect(page.length).toBeGreaterThan(0)
      expect(page.length).toBeLessThanOrEqual(10)
      expect(await run.read(0, store, 1)).toHaveLength(1)
      const found: number[] = []
      for (let number = 0; number < 40; ) {
        const next = (await run.read(number, store, 5_000)) as readonly StoredBatch[]
        for (const { first } of next) if (first > number) found.push(first)
        number = found.at(-1) as number
      }
      expect(found).toEqual(Array.from({ length: 40 }, (_, at) => at + 1))
    })

    test('keeps the newest batch, also if the limits evict everything', async () => {
      const store = await open()
      const run = await started(store)
      await run.append(batch(1, 'a'))
      await run.append(batch(2, 'b', 'c'), { evictBefore: 100 })
      expect(texts(await run.read(1))).toEqual(['b', 'c'])
      expect(await run.append(batch(4, 'd'))).toBe(true)
    })

    test('stores a repeated batch once', async () => {
      const [store, other] = [await open(), await open()]
      const run = await started(store)
      const first = batch(1, 'a', 'b')
      expect(await run.append(first)).toBe(true)
      expect(await run.append(first)).toBe(true)
      expect(texts(await run.read(0, other))).toEqual(['a', 'b'])
    })

    test('refuses events whose numbers are stored', async () => {
      const [store, other] = [await open(), await open()]
      const run = await started(store)
      await run.append(batch(1, 'a', 'b'))
      const foreign = { ...batch(2, 'x'), end: 'lost' as const }
      expect(await other.append(run.id, run.epoch, foreign, { ...all, keep: HOUR }, signal)).toBe(false)
      expect(texts(await run.read(0))).toEqual(['a', 'b'])
    })

    test.each([
      ['another text', { ...batch(1, 'other'), end: 'done' }],
      ['another end', { ...batch(1, 'end'), end: 'lost' }],
      ['no end', batch(1, 'end')],
      ['more events', { ...batch(1, 'end', 'end'), end: 'done' }],
    ] as ReadonlyArray<[string, RunBatch]>)(
      'refuses a batch that repeats the last one with %s',
      async (_, other) => {
        const store = await open()
        const run = await started(store)
        const keep = { ...all, keep: HOUR }
        expect(await run.append(lastBatch(1), keep)).toBe(true)
        expect(await run.append(other, keep)).toBe(false)
        expect(texts(await run.read(0))).toEqual(['end'])
        expect(await store.find(run.id)).toMatchObject({ last: 1, end: 'done' })
      },
    )

    test('refuses a batch with the numbers and not the text of the newest one', async () => {
      const store = await open()
      const run = await started(store)
      await run.append(batch(1, 'a'))
      expect(await run.append(batch(1, 'b'))).toBe(false)
      expect(texts(await run.read(0))).toEqual(['a'])
    })

    test('refuses events after the end, and of the owner after another process has ended the run', async () => {
      const [store, other] = [await open(), await open()]
      const run = await started(store)
      await run.append(batch(1, 'a'))
      const end = { ...batch(2, 'lost'), end: 'lost' as const }
      expect(await other.append(run.id, run.epoch, end, { ...all, keep: HOUR }, signal)).toBe(true)
      expect(await run.append(batch(2, 'late'))).toBe(false)
      expect(await run.append(batch(3, 'later'))).toBe(false)
      expect(await run.append(lastBatch(3))).toBe(false)
      expect(texts(await run.read(0))).toEqual(['a', 'lost'])
      expect(await store.find(run.id)).toMatchObject({ last: 2, end: 'lost' })
      expect(((await run.read(1)) as readonly StoredBatch[]).at(-1)?.end).toBe('lost')
    })

    test('lets one of two processes end a run', async () => {
      const [store, other] = [await open(), await open()]
      for (let round = 0; round < 10; round++) {
        const run = await started(store)
        const keep = { ...all, keep: HOUR }
        const ends = await Promise.all([
          run.append(lastBatch(1), keep),
          other.append(run.id, run.epoch, { ...batch(1, 'lost'), end: 'lost' }, keep, signal),
        ])
        expect(ends.toSorted()).toEqual([false, true])
        expect((await other.find(run.id))?.end).toBe(ends[0] ? 'done' : 'lost')
      }
    })

    test('returns the run that has ended to a later start', async () => {
      const [store, other] = [await open(), await open()]
      const run = await started(store)
      await run.append(lastBatch(1), { ...all, keep: HOUR })
      expect(await other.start(run.id, 'you', HOUR)).toMatchObject({
        isNew: false,
        epoch: run.epoch,
        owner: 'me',
        last: 1,
        end: 'done',
      })
    })

    test('evicts events, and returns the oldest ones that are left', async () => {
      const store = await open()
      const run = await started(store)
      const ten = () => Array.from({ length: 10 }, () => 'x')
      for (let first = 1; first < 2_000; first += 10) {
        const evictBefore = Math.max(0, first - 100)
        await run.append(batch(first, ...ten()), { evictBefore })
      }
      const [oldest] = (await run.read(0)) as readonly StoredBatch[]
      expect(oldest?.first).toBeGreaterThan(1)
      expect(oldest?.first).toBeLessThanOrEqual(1_900)
      expect(await store.find(run.id)).toMatchObject({ last: 2_000 })
    })

    test('removes a run, whose owner appends nothing more', async () => {
      const [store, other] = [await open(), await open()]
      const run = await started(store)
      await run.append(batch(1, 'a'))
      expect(await other.remove(run.id)).toBe(true)
      expect(await store.find(run.id)).toBeUndefined()
      expect(await run.read(0)).toBeUndefined()
      expect(await run.append(batch(2, 'b'))).toBe(false)
      expect(await other.remove(run.id)).toBe(false)
      expect(await store.find(run.id)).toBeUndefined()
    })

    test('keeps a run apart from a removed one with the same id', async () => {
      const [store, other] = [await open(), await open()]
      const run = await started(store)
      await run.append(batch(1, 'a'))
      await store.remove(run.id)
      const again = await started(other, run.id)
      expect(again.epoch).not.toBe(run.epoch)
      expect(await run.append(batch(2, 'b'))).toBe(false)
      expect(await run.append(batch(1, 'b'))).toBe(false)
      expect(await run.read(0)).toBeUndefined()
      await again.append(batch(1, 'c'))
      expect(texts(await again.read(0, store))).toEqual(['c'])
    })

    test('removes a run after its maximum age, and after the time for which it is kept', async () => {
      const store = await open()
      const [short, ended] = [newId(), await started(store)]
      const { epoch } = await store.start(short, 'me', 300)
      await store.append(short, epoch, batch(1, 'a'), all, signal)
      await ended.append(lastBatch(1), { ...all, keep: 300 })
      await expect.poll(() => store.find(short), { timeout: 10_000 }).toBeUndefined()
      await expect.poll(() => store.find(ended.id), { timeout: 10_000 }).toBeUndefined()
      expect((await store.start(short, 'me', HOUR)).isNew).toBe(true)
    })

    test('passes each batch to a watcher in another process, in order', async () => {
      const [store, other] = [await open(), await open()]
      const run = await started(store)
      const ended = deferred<StoredBatch>()
      const watcher = {
        received: [] as string[],
        onBatch(each: StoredBatch) {
          this.received.push(...(texts([each]) as string[]))
          if (each.end) ended.resolve(each)
        },
        onInterruption: () => {},
      }
      const watch = other.watch(run.id, run.epoch, watcher)
      await watch.ready
      for (let first = 1; first <= 50; first++) await run.append(batch(first, String(first)))
      await run.append(lastBatch(51), { ...all, keep: HOUR })
      expect(await ended.promise).toMatchObject({ first: 51, end: 'done' })
      expect([...new Set(watcher.received)]).toEqual([
        ...Array.from({ length: 50 }, (_, at) => String(at + 1)),
        'end',
      ])
      watch.close()
    })

    test('gives watched batches the places with which they are read', async () => {
      const [store, other] = [await open(), await open()]
      const run = await started(store)
      const seen = deferred<StoredBatch>()
      const watch = other.watch(run.id, run.epoch, {
        onBatch: (each) => each.first === 2 && seen.resolve(each),
        onInterruption: () => {},
      })
      await watch.ready
      await run.append(batch(1, 'a'))
      await run.append(batch(2, 'b', 'c'))
      const { place } = await seen.promise
      await run.append(batch(4, 'd'))
      expect(texts(await run.read(3, store, 1e6, place))?.slice(-1)).toEqual(['d'])
      expect(texts(await run.read(2, store, 1e6, place))?.slice(-2)).toEqual(['c', 'd'])
      watch.close()
    })

    test('notifies a watcher that a run was removed', async () => {
      const [store, other] = [await open(), await open()]
      const run = await started(store)
      const interrupted = deferred<void>()
      const watch = other.watch(run.id, run.epoch, { onBatch: () => {}, onInterruption: interrupted.resolve })
      await watch.ready
      await store.remove(run.id)
      await interrupted.promise
      watch.close()
    })

    test('calls no watcher of another run, or that was closed', async () => {
      const [store, other] = [await open(), await open()]
      const [run, second] = [await started(store), await started(store)]
      const calls: string[] = []
      const done = deferred<void>()
      const ignored = { onBatch: () => calls.push('closed'), onInterruption: () => {} }
      const closed = other.watch(run.id, run.epoch, ignored)
      const kept = other.watch(run.id, run.epoch, {
        onBatch: ({ first }) => {
          calls.push(`kept ${first}`)
          if (first === 2) done.resolve()
        },
        onInterruption: () => {},
      })
      await Promise.all([closed.ready, kept.ready])
      closed.close()
      closed.close()
      await second.append(batch(1, 'x'))
      await run.append(batch(1, 'a'))
      await run.append(batch(2, 'b'))
      await done.promise
      expect([...new Set(calls)]).toEqual(['kept 1', 'kept 2'])
      kept.close()
    })

    test('passes no batch of a later run with the same id to a watcher of a removed one', async () => {
      const [store, other] = [await open(), await open()]
      const run = await started(store)
      const calls: string[] = []
      const done = deferred<void>()
      const watcher = { onBatch: () => calls.push('removed'), onInterruption: () => {} }
      const removed = other.watch(run.id, run.epoch, watcher)
      await removed.ready
      await store.remove(run.id)
      const again = await started(store, run.id)
      const present = other.watch(run.id, again.epoch, {
        onBatch: ({ first }) => {
          calls.push('present')
          if (first === 2) done.resolve()
        },
        onInterruption: () => {},
      })
      await present.ready
      await again.append(batch(1, 'a'))
      await again.append(batch(2, 'b'))
      await done.promise
      expect(new Set(calls)).toEqual(new Set(['present']))
      removed.close()
      present.close()
    })

    test('reports whether a run is watched by any process', async () => {
      const [store, other] = [await open(), await open()]
      const run = await started(store)
      expect(await store.isWatched(run.id, run.epoch)).toBe(false)
      const watch = other.watch(run.id, run.epoch, { onBatch: () => {}, onInterruption: () => {} })
      await watch.ready
      expect(await store.isWatched(run.id, run.epoch)).toBe(true)
      watch.close()
      await expect.poll(() => store.isWatched(run.id, run.epoch), { timeout: 10_000 }).toBe(false)
    })

    test('passes a request to stop on to the owner of a run', async () => {
      const store = await connect()()
      stores.push(store)
      const name = `owner${++count}`
      const owner = {
        name,
        stopped: deferred<string[]>(),
        onStop(...all: string[]) {
          this.stopped.resolve(all)
        },
      }
      store.serve(owner, LEASE)
      await store.renew()
      const other = await open()
      const id = newId()
      const { epoch } = await store.start(id, name, HOUR)
      await other.requestStop(name, id, epoch)
      expect(await owner.stopped.promise).toEqual([id, epoch])
    })

    test('reports whether an owner is alive', async () => {
      const [store, other] = [await open('alive1'), await open('other1')]
      await store.renew()
      expect(await other.isAlive('alive1')).toBe(true)
      expect(await other.isAlive('nobody')).toBe(false)
      await store.close()
      await expect.poll(() => other.isAlive('alive1'), { timeout: 10_000 }).toBe(false)
    })
  })
}
