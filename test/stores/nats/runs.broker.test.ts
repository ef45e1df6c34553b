import { type JetStreamManager, jetstream, jetstreamManager, type StreamConfig } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import fc from 'fast-check'
import { beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  type JetStreamRunsOptions,
  jetstreamRuns,
  type NatsConnection,
} from '../../../src/stores/nats/index.ts'
import type { StoredBatch } from '../../../src/stores/run-store.ts'
import { type Broker, startNats } from '../../support/brokers.ts'
import { NEVER } from '../../support/nats-driver.ts'
import { connectNats, eventually, numbers, startCuttableProxy } from '../../support/nats-hub.ts'
import { batchOf, follow, openRuns, startRun, textsOf } from '../../support/nats-runs.ts'

const HOUR = 3_600_000

let broker: Broker
let connection: NatsConnection
let manager: JetStreamManager
let runs = 0
let id = ''

beforeAll(async () => {
  broker = await startNats()
  connection = await connectNats(broker.port)
  manager = await jetstreamManager(connection)
  return async () => {
    await connection.close()
    await broker.end()
  }
})

beforeEach(() => {
  id = `run-${++runs}`
})

const open = async (options?: JetStreamRunsOptions) => (await openRuns(broker.port, 'a', options)).store

/** Returns how many messages a run has in its stream. */
async function messagesOf(run: string, stream = 'spillway-runs'): Promise<number> {
  const { state } = await manager.streams.info(stream, { subjects_filter: `${stream}.${run}` })
  return state.subjects?.[`${stream}.${run}`] ?? 0
}

describe('the place of a batch', () => {
  test('that a client invents yields no event of another run, and none of its own run twice', async () => {
    const store = await open()
    const [run, other] = [await startRun(store, id), await startRun(store, `${id}-other`)]
    const own = numbers(1, 20).map((n) => `own ${n}`)
    for (const [at, text] of own.entries()) {
      await run.append(batchOf(at + 1, text))
      await other.append(batchOf(at + 1, `other ${at}`))
    }
    const { state } = await manager.streams.info('spillway-runs')
    const place = fc.oneof(
      fc.integer({ min: 0, max: state.last_seq + 10 }).map((sequence) => sequence.toString(36)),
      fc.string(),
      fc.bigInt({ min: 0n }).map((large) => large.toString(36)),
    )
    const number = fc.integer({ min: 0, max: 25 })
    await fc.assert(
      fc.asyncProperty(place, number, async (text, after) => {
        expect(textsOf(await run.read(after, text))).toEqual(own.slice(after))
      }),
      { numRuns: 60 },
    )
  })

  test('lets a client continue without a scan of the run', async () => {
    const { store, requests, warmUp } = await openCounted()
    const run = await startRun(store, id)
    for (let first = 1; first <= 40; first++) await run.append(batchOf(first, 'x'.repeat(1_000)))
    const found: StoredBatch[] = []
    await warmUp()
    while (found.length < 40) {
      const { first = 0, place } = found.at(-1) ?? {}
      found.push(...((await run.read(first, place, store, 5_000)) ?? []))
    }
    expect(found.map(({ first }) => first)).toEqual(numbers(1, 40))
    // Its pages share one consumer, so that none is read twice.
    expect(requests.get('CONSUMER.CREATE')).toBe(1)
    expect(requests.get('CONSUMER.MSG.NEXT')).toBeLessThan(20)
  })

  test('counts less than the number if only a part of a batch was received', async () => {
    const store = await open()
    const run = await startRun(store, id)
    for (let first = 1; first <= 30; first += 3) await run.append(batchOf(first, 'a', 'b', 'c'))
    const [first] = (await run.read(0, undefined, store, 1)) as StoredBatch[]
    const next = (await run.read(2, first?.place, store, 1)) as StoredBatch[]
    expect(next.map((each) => each.first)).toEqual([1])
  })
})

describe('requests', () => {
  test('are one for each batch, whether it is watched or not', async () => {
    const { store, requests, warmUp } = await openCounted()
    const idle = await openCounted()
    const run = await startRun(store, id)
    expect(requests).toEqual(
      new Map([
        ['STREAM.INFO', 1],
        ['append', 1],
      ]),
    )
    const watchers = await Promise.all([1, 2, 3].map(() => follow(store, id, run.epoch)))
    await warmUp()
    for (let first = 1; first <= 50; first++) await run.append(batchOf(first, String(first)))
    for (const { texts } of watchers) await eventually(() => texts.length).toBe(50)
    expect(requests).toEqual(new Map([['append', 50]]))
    expect(idle.requests).toEqual(new Map())
  })

  test('of a client that lacks at most the newest batch are one', async () => {
    const { store, requests, warmUp } = await openCounted()
    const run = await startRun(store, id)
    for (let first = 1; first <= 5; first++) await run.append(batchOf(first, String(first)))
    await warmUp()
    expect(textsOf(await run.read(5))).toEqual([])
    expect(textsOf(await run.read(4))).toEqual(['5'])
    expect(requests).toEqual(new Map([['STREAM.MSG.GET', 2]]))
    expect(textsOf(await run.read(1))).toEqual(['2', '3', '4', '5'])
    await eventually(() => requests.get('CONSUMER.DELETE')).toBe(1)
    expect([...requests.values()]).toEqual([3, 1, 1, 1])
  })

  test('that evict events are few', async () => {
    const { store, requests } = await openCounted()
    const run = await startRun(store, id)
    for (let first = 1; first <= 1_000; first++)
      await run.append(batchOf(first, 'x'), { evictBefore: first - 100 })
    expect(requests.get('STREAM.PURGE')).toBeLessThanOrEqual(16)
    await eventually(() => messagesOf(id)).toBeLessThan(300)
    expect((await run.read(0))?.[0]?.first).toBeLessThanOrEqual(900)
  })
})

describe('a run that is no longer kept', () => {
  test('is removed from the stream by the process that has started it', async () => {
    const store = await open()
    const [ended, short] = [await startRun(store, id), await startRun(store, `${id}-short`, 200)]
    const removed = vi.fn()
    store.watch(id, ended.epoch, { onBatch: () => {}, onInterruption: removed })
    await ended.append({ ...batchOf(1, 'end'), end: 'done' }, { keep: 200 })
    await short.append(batchOf(1, 'a'))
    for (const { id: run } of [ended, short]) await eventually(() => messagesOf(run)).toBe(0)
    await eventually(() => removed.mock.calls.length).toBeGreaterThan(0)
    expect(await short.append(batchOf(2, 'b'))).toBe(false)
  })

  test('is removed from the stream by a process that looks it up, if its owner has died', async () => {
    const owner = await openRuns(broker.port, 'owner')
    const run = await startRun(owner.store, id)
    await run.append({ ...batchOf(1, 'end'), end: 'done' }, { keep: 200 })
    await owner.store.close()
    const store = await open()
    await eventually(() => store.find(id)).toBeUndefined()
    await eventually(() => messagesOf(id)).toBe(0)
  })

  test('is replaced by a later start, and its events are not returned', async () => {
    const owner = await openRuns(broker.port, 'owner')
    const old = await startRun(owner.store, id, 200)
    await old.append(batchOf(1, 'old'))
    await owner.store.close()
    const store = await open()
    const started = async () => (await store.start(id, 'me', HOUR)).isNew
    await eventually(started).toBe(true)
    const { epoch } = (await store.find(id)) ?? {}
    expect(textsOf(await store.read(id, epoch as string, { number: 0 }, 1e6, NEVER))).toEqual([])
    expect(await old.read(0, undefined, store)).toBeUndefined()
  })

  test('is found by the clock of the server, whatever that of the process', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 48 * HOUR })
    onTestFinished(() => void vi.useRealTimers())
    const store = await open()
    const run = await startRun(store, id)
    await run.append({ ...batchOf(1, 'end'), end: 'done' }, { keep: HOUR })
    expect(await (await open()).find(id)).toMatchObject({ last: 1, end: 'done' })
    vi.setSystemTime(Date.now() - 96 * HOUR)
    const other = await startRun(store, `${id}-other`, 200)
    await eventually(() => store.find(other.id)).toBeUndefined()
  })

  test('is kept no longer than the stream keeps its first event', async () => {
    const options = { streamName: 'short-runs', maxAge: 1_000 }
    const store = await open(options)
    const run = await startRun(store, id)
    await run.append({ ...batchOf(1, 'end'), end: 'done' }, { keep: HOUR })
    await store.close()
    const other = await open(options)
    await eventually(() => other.find(id)).toBeUndefined()
    await eventually(() => messagesOf(id, 'short-runs')).toBe(0)
  })
})

describe('a message of another program', () => {
  test('in the subject of a run is no batch, and ends the run if it is the newest', async () => {
    const store = await open()
    const run = await startRun(store, id)
    const watcher = await follow(store, id, run.epoch)
    await run.append(batchOf(1, 'a'))
    const foreign = [
      '',
      'no record',
      '{}',
      '{"epoch":1}',
      JSON.stringify({ ...batchOf(2, 'x'), epoch: run.epoch }),
    ]
    for (const each of foreign) await jetstream(connection).publish(`spillway-runs.${id}`, each)
    expect(await store.find(id)).toBeUndefined()
    expect(await run.append(batchOf(2, 'b'))).toBe(false)
    expect(watcher.texts).toEqual(['a'])
    expect((await store.start(id, 'me', HOUR)).isNew).toBe(true)
  })

  test.each(['[1]', '["x"]', 'x', '', '{}', '5', 'null', 'true', '{"length":4294967295}'])(
    'to an owner is ignored, and the next one is answered: %j',
    async (payload) => {
      const own = await connectNats(broker.port)
      onTestFinished(() => own.close())
      const store = jetstreamRuns(own)
      onTestFinished(() => store.close())
      const onStop = vi.fn()
      store.serve({ name: `owner${id}`.replace('-', ''), onStop }, 2_000)
      await store.renew()
      for (const each of [payload, '']) await connection.request(`spillway-runs-owner.ownerrun${runs}`, each)
      expect(onStop).not.toHaveBeenCalled()
    },
  )
})

describe('an event that is larger than a message may be', () => {
  test('rejects the append, after which the run continues', async () => {
    const store = await open()
    const run = await startRun(store, id)
    const large = run.append(batchOf(1, 'x'.repeat(2 * 1024 * 1024)))
    await expect(large).rejects.toMatchObject({ code: 'ERR_SSE_STORE', cause: expect.any(Error) })
    expect(await run.append(batchOf(1, 'a'))).toBe(true)
  })
})

describe('an existing stream', () => {
  const wrong: Array<[what: string, config: Partial<StreamConfig>, options?: JetStreamRunsOptions]> = [
    ['republish is undefined, not', {}],
    ['deny_purge is true, not false', { deny_purge: true }],
    ['max_age is 0, not 60000000000', {}, { maxAge: 60_000 }],
    ['storage is "memory", not "file"', { storage: 'memory' }, { storage: 'file' }],
  ]

  test.each(wrong)('must match: %s', async (mismatch, config, options) => {
    await manager.streams.add({ name: id, subjects: [`${id}.*`], ...config })
    onTestFinished(async () => void (await manager.streams.delete(id)))
    const store = await open({ streamName: id, ...options })
    const error = await store.start('x', 'me', HOUR).catch((reason) => reason)
    expect(error).toMatchObject({ code: 'ERR_SSE_STORE' })
    expect(error.message).toContain(mismatch)
    expect(error.message).toContain(id)
  })

  test('is created with the options', async () => {
    const store = await open({
      streamName: id,
      subjectPrefix: 'deep.runs',
      maxAge: 60_000,
      maxBytes: 1e6,
      storage: 'memory',
    })
    const run = await startRun(store, 'a.b')
    const watcher = await follow(store, 'a.b', run.epoch)
    await run.append(batchOf(1, 'a'))
    await eventually(() => watcher.texts).toEqual(['a'])
    const { config } = await manager.streams.info(id)
    expect(config).toMatchObject({ max_age: 60e9, max_bytes: 1e6, storage: 'memory', duplicate_window: 2e9 })
    expect(config).toMatchObject({ subjects: ['deep.runs.*'], num_replicas: 1 })
  })
})

describe('a user', () => {
  // As docs/nats.md states them.
  const publish = [
    ...['spillway-runs.*', 'spillway-runs-live.*', 'spillway-runs-owner.*'],
    ...['STREAM.INFO', 'STREAM.CREATE', 'STREAM.MSG.GET', 'STREAM.PURGE'].map(
      (each) => `$JS.API.${each}.spillway-runs`,
    ),
    ...['CREATE', 'DELETE', 'MSG.NEXT'].map((each) => `$JS.API.CONSUMER.${each}.spillway-runs.>`),
  ]
  const subscribe = ['_INBOX.>', 'spillway-runs-live.*', 'spillway-runs-owner.*']

  test('with the documented permissions can do everything', async () => {
    const permissions = `{ publish: ${JSON.stringify(publish)}, subscribe: ${JSON.stringify(subscribe)}, allow_responses: true }`
    const guarded = await startNats(
      `jetstream: {}\nauthorization: { users: [{ user: u, password: p, permissions: ${permissions} }] }`,
    )
    const limited = await connect({ port: guarded.port, user: 'u', pass: 'p' })
    onTestFinished(() => limited.close())
    const errors: unknown[] = []
    void (async () => {
      for await (const status of limited.status()) if (status.type === 'error') errors.push(status.error)
    })()
    const store = jetstreamRuns(limited)
    onTestFinished(() => store.close())
    const onStop = vi.fn()
    store.serve({ name: 'me', onStop }, 2_000)
    await store.renew()
    const run = await startRun(store, id)
    const watcher = await follow(store, id, run.epoch)
    for (let first = 1; first <= 200; first++)
      await run.append(batchOf(first, 'x'), { evictBefore: first - 50 })
    await eventually(() => watcher.texts.length).toBe(200)
    expect((await run.read(150))?.length).toBeGreaterThan(0)
    expect([await store.isAlive('me'), await store.isWatched(id, run.epoch)]).toEqual([true, true])
    await store.requestStop('me', id, run.epoch)
    await eventually(() => onStop.mock.calls).toEqual([[id, run.epoch]])
    expect(await store.remove(id)).toBe(true)
    await eventually(() => watcher.interruptions).toBe(1)
    expect(errors).toEqual([])
  })

  test.each([
    ['without JetStream', 'accounts: { a: { users: [{ user: u, password: p }] } }', 'not enabled'],
    [
      'without permissions',
      'authorization: { users: [{ user: u, password: p, permissions: { publish: other } }] }',
      'Permissions Violation',
    ],
  ])('%s cannot start a run', async (_, configuration, message) => {
    const guarded = await startNats(`jetstream: {}\n${configuration}`)
    const limited = await connect({ port: guarded.port, user: 'u', pass: 'p' })
    onTestFinished(() => limited.close())
    const store = jetstreamRuns(limited)
    onTestFinished(() => store.close())
    const error = await store.start(id, 'me', HOUR).catch((reason) => reason)
    expect(error).toMatchObject({ code: 'ERR_SSE_STORE', cause: expect.any(Error) })
    expect(error.message).toContain(message)
  })
})

describe('close', () => {
  test('removes what the store created, and leaves the connection open', async () => {
    const { protocol } = connection as unknown as { protocol: Protocol }
    const before = [protocol.listeners.length, protocol.subscriptions.size()]
    const store = jetstreamRuns(connection)
    store.serve({ name: 'me', onStop: () => {} }, 2_000)
    await store.renew()
    const run = await startRun(store, id)
    for (let first = 1; first <= 20; first++) await run.append(batchOf(first, 'x'.repeat(1_000)))
    const watch = store.watch(id, run.epoch, { onBatch: () => {}, onInterruption: () => {} })
    await watch.ready
    expect((await run.read(0, undefined, store, 5_000))?.length).toBeLessThan(5)
    expect((await manager.streams.info('spillway-runs')).state.consumer_count).toBe(1)
    await store.close()
    watch.close()
    expect((await manager.streams.info('spillway-runs')).state.consumer_count).toBe(0)
    expect([protocol.listeners.length, protocol.subscriptions.size()]).toEqual(before)
    await expect(store.find(id)).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
    await connection.flush()
  })

  test('and every call after it end if the connection was closed before', async () => {
    const own = await connectNats(broker.port)
    const store = jetstreamRuns(own)
    const run = await startRun(store, id)
    store.watch(id, run.epoch, { onBatch: () => {}, onInterruption: () => {} })
    await own.close()
    const closed = { code: 'ERR_SSE_STORE', message: expect.stringContaining('closed') }
    await expect(run.append(batchOf(1, 'a'))).rejects.toMatchObject(closed)
    await expect(run.read(0)).rejects.toMatchObject(closed)
    await expect(store.find(id)).rejects.toMatchObject(closed)
    await expect(store.isAlive('x')).rejects.toMatchObject(closed)
    await expect(store.isWatched(id, run.epoch)).rejects.toMatchObject(closed)
    const watch = store.watch(id, run.epoch, { onBatch: () => {}, onInterruption: () => {} })
    await watch.ready
    watch.close()
    await store.close()
  })
})

describe('options', () => {
  test.each<[message: string, create: () => unknown]>([
    ['a connection', () => jetstreamRuns({} as NatsConnection)],
    ['Option streamName', () => jetstreamRuns(connection, { streamName: 'a.b' })],
    ['Option subjectPrefix', () => jetstreamRuns(connection, { subjectPrefix: 'a.*' })],
    ['Option maxAge', () => jetstreamRuns(connection, { maxAge: 0 })],
    ['"maxEvents"', () => jetstreamRuns(connection, { maxEvents: 1 } as JetStreamRunsOptions)],
  ])('are checked: %s', (message, create) => {
    expect(create).toThrow(expect.objectContaining({ code: 'ERR_SSE_OPTION' }))
    expect(create).toThrow(message)
  })
})

interface Protocol {
  readonly listeners: readonly unknown[]
  readonly subscriptions: { size(): number }
}

/** Opens the store of another process, whose requests are counted by kind. */
async function openCounted() {
  const requests = new Map<string, number>()
  const proxy = await startCuttableProxy(broker.port, (text) => {
    for (const [, subject = ''] of text.matchAll(/^H?PUB (\S+) /gm)) {
      const kind = /^\$JS\.API\.([A-Z.]+)\./.exec(subject)?.[1] ?? 'append'
      requests.set(kind, (requests.get(kind) ?? 0) + 1)
    }
  })
  const { store } = await openRuns(proxy.port, 'counted')
  /** Has the store measure the clock of the server with a consumer, and resets the counts once that is removed. */
  const warmUp = async () => {
    await store.find(id)
    await eventually(() => requests.get('CONSUMER.DELETE')).toBe(1)
    requests.clear()
  }
  return { store, requests, warmUp }
}
