import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  type JetStreamCountsOptions,
  jetstreamCounts,
  type NatsConnection,
} from '../../../src/stores/nats/index.ts'
import { type Broker, startNats } from '../../support/brokers.ts'
import { connectNats, eventually, openConnection, startCuttableProxy } from '../../support/nats-hub.ts'

let broker: Broker
let connection: NatsConnection
let users = 0
let user = ''

beforeAll(async () => {
  broker = await startNats()
  connection = await connectNats(broker.port)
  return async () => {
    await connection.close()
    await broker.end()
  }
})

beforeEach(() => {
  user = `user-${++users}`
})

/** Opens the counts of another process. */
async function open(port = broker.port, options: JetStreamCountsOptions = {}) {
  const counts = jetstreamCounts(await openConnection(port), { commandTimeout: 20_000, ...options })
  onTestFinished(() => counts.close())
  return counts
}

/** Returns the counts of a key, as they are stored. */
async function stored(key: string, own = connection): Promise<number[] | undefined> {
  const { streams } = await jetstreamManager(own)
  const message = await streams.getMessage('spillway-counts', { last_by_subj: `spillway-counts.${key}` })
  return message ? Object.values(message.json<Record<string, number>>()) : undefined
}

test('counts are stored again after the server was restarted without them', async () => {
  const own = await startNats()
  const [a, b] = [await open(own.port), await open(own.port)]
  expect(await a.acquire(user, 2)).toBe(true)
  expect(await b.acquire(user, 2)).toBe(true)
  await own.stop('SIGKILL')
  await own.start()
  const other = await openConnection(own.port)
  // The stream does not exist until the counts are stored again.
  await eventually(() => stored(user, other).catch(String)).toEqual([1, 1])
  expect(await a.acquire(user, 2)).toBe(false)
})

test('counts of a process that has lost its connection do not count, until it reconnects', async () => {
  const proxy = await startCuttableProxy(broker.port)
  const [a, b] = [await open(proxy.port), await open()]
  expect(await a.acquire(user, 1)).toBe(true)
  proxy.cut()
  await eventually(() => b.acquire(user, 1)).toBe(true)
  proxy.restore()
  await eventually(async () => (await stored(user))?.sort()).toEqual([1, 1])
  b.release(user)
  await eventually(async () => stored(user)).toEqual([1])
  expect(await b.acquire(user, 1)).toBe(false)
})

test('counts are rejected while the connection is down, and work afterwards', async () => {
  const proxy = await startCuttableProxy(broker.port)
  const counts = await open(proxy.port, { commandTimeout: 200, lease: 1_000 })
  await eventually(() => Promise.resolve(counts.acquire(user, 1)).catch(() => 'down')).toBe(true)
  proxy.cut()
  const unavailable = { code: 'ERR_SSE_STORE' }
  await expect(counts.acquire('other', 1)).rejects.toMatchObject(unavailable)
  await expect(counts.acquire('other', 1)).rejects.toMatchObject(unavailable)
  expect(await counts.acquire(user, 1)).toBe(false)
  counts.add(`${user}-added`)
  proxy.restore()
  await eventually(() => stored(`${user}-added`)).toEqual([1])
})

test('counts leave no message of a key without streams', async () => {
  const counts = await open()
  for (let i = 0; i < 3; i++) await counts.acquire(user, 9)
  expect(await stored(user)).toEqual([3])
  for (let i = 0; i < 3; i++) counts.release(user)
  await eventually(() => stored(user)).toBeUndefined()
})

test('counts of a stream that was deleted are stored in a new one', async () => {
  const counts = await open()
  await counts.acquire(user, 9)
  await (await jetstreamManager(connection)).streams.delete('spillway-counts')
  expect(await counts.acquire(user, 9)).toBe(true)
  expect(await stored(user)).toEqual([2])
})

const PROCESS = '0'.repeat(32)

test.each([
  ...['', 'no JSON', '[]', '7', 'null', '{"a":"x"}', '{"a":-1}', '{"__proto__":{"x":1}}'],
  ...['{"total visitors":5}', '{"a.b":5}', '{"*":5}', '{">":5}', '{"":5}'],
  ...[`{"${PROCESS}":"5"}`, `{"${PROCESS}":1.5}`, `{"${PROCESS}":1e308}`],
])('a message of another program is ignored: %s', async (text) => {
  const counts = await open()
  await counts.acquire('other', 1)
  await jetstream(connection).publish(`spillway-counts.${user}`, text)
  expect(await counts.acquire(user, 1)).toBe(true)
  expect(await stored(user)).toEqual([1])
})

describe('options', () => {
  test.each<[message: string, create: () => unknown]>([
    ['a connection', () => jetstreamCounts({} as NatsConnection)],
    ['Option streamName', () => jetstreamCounts(connection, { streamName: 'a.b' })],
    ['Option subjectPrefix', () => jetstreamCounts(connection, { subjectPrefix: 'a.*' })],
    ['Option lease', () => jetstreamCounts(connection, { lease: 0 })],
    ['Option storage', () => jetstreamCounts(connection, { storage: 'disk' as never })],
    ['"maxAge"', () => jetstreamCounts(connection, { maxAge: 1 } as JetStreamCountsOptions)],
  ])('are checked: %s', (message, create) => {
    expect(create).toThrow(expect.objectContaining({ code: 'ERR_SSE_OPTION' }))
    expect(create).toThrow(message)
  })

  test('that do not match the stream reject an acquire', async () => {
    await (await open()).acquire(user, 1)
    const counts = await open(broker.port, { storage: 'file' })
    await expect(counts.acquire(user, 1)).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
  })
})
