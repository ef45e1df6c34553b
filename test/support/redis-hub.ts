import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { beforeAll, beforeEach, expect, onTestFinished } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import type { EventStore } from '../../src/stores/event-store.ts'
import {
  type RedisClient,
  type RedisPubSubStoreOptions,
  type RedisStoreOptions,
  redisPubSubStore,
  redisStore,
} from '../../src/stores/redis/index.ts'
import { type Broker, startRedis } from './brokers.ts'
import { HubClient } from './hub-client.ts'

// Each test file that imports this starts its own Redis, and each test has its own key.

export let broker: Broker
export let admin: Redis
export let key: string
let keys = 0

beforeAll(async () => {
  broker = await startRedis()
  return () => broker.end()
})

beforeEach(() => {
  key = `key-${++keys}`
  admin = adminOf(broker.port)
})

/** Opens a connection that is closed after the test. */
export function adminOf(port: number): Redis {
  const connection = new Redis({ port }).on('error', () => {})
  onTestFinished(() => void connection.disconnect())
  return connection
}

export const nodeRedis = (port = broker.port, options = {}): RedisClient =>
  createClient({ url: `redis://127.0.0.1:${port}`, ...options }).on('error', () => {})
export const ioRedis = (port = broker.port, options = {}): RedisClient =>
  new Redis({ port, lazyConnect: true, ...options }).on('error', () => {})

export const CLIENTS: Array<[name: string, client: (port?: number, options?: object) => RedisClient]> = [
  ['redis', nodeRedis],
  ['ioredis', ioRedis],
]

/** The hub of a process, with its own client and store. Thousands of publishes at once may take seconds. */
export function openHub(options: RedisStoreOptions = {}, client: RedisClient = nodeRedis()): Hub {
  return hubOn(redisStore(client, { key, publishTimeout: 30_000, ...options }))
}

export function openPubSub(client: RedisClient = nodeRedis(), options: RedisPubSubStoreOptions = {}): Hub {
  return hubOn(redisPubSubStore(client, { redisChannel: key, publishTimeout: 30_000, ...options }))
}

function hubOn(store: EventStore): Hub {
  const hub = new Hub({ store })
  onTestFinished(() => void store.close())
  return hub
}

/** Subscribes a client to channels of a hub. Resolves once it is live. */
export async function subscribeClient(hub: Hub, channels = ['a'], client = new HubClient(hub, channels)) {
  client.connect()
  const { stream } = client
  // The client is live at the end of the turn.
  await expect.poll(() => hub.state).toBe('ready')
  await new Promise((resolve) => setImmediate(resolve))
  expect(stream?.closed).toBe(false)
  return client
}

/** Connects a client that resumes after an event. */
export function reconnect(hub: Hub, lastEventId: string, channels = ['a']): HubClient {
  const client = new HubClient(hub, channels)
  client.lastEventId = lastEventId
  client.connect()
  return client
}

/** Disconnects a client once it has received the given number of events. Returns their data, or their names. */
export async function seen(client: HubClient, events: number): Promise<string[]> {
  await expect
    .poll(() => client.data.length + (client.transport.writes.join('').match(/\ndata: /g)?.length ?? 0))
    .toBeGreaterThanOrEqual(events)
  client.cut()
  const received = client.seen.filter(({ event }) => event !== 'position')
  return received.map(({ event, data }) => (event === 'message' ? data : event))
}

export async function publish(hub: Hub, from: number, to: number, channel = 'a'): Promise<void> {
  for (let n = from; n < to; n++) await hub.channel(channel).publish({ data: n })
}

/** Publishes five events, and resumes a client before those that a hub with `recentEvents: 2` has cached. */
export async function replayFromRedis(hub: Hub): Promise<void> {
  const start = await hub.channel('a').publish({ data: 'start' })
  await publish(hub, 0, 5)
  await expect.poll(() => hub._store.read(['a'], start, 1) instanceof Promise).toBe(true)
  expect(await seen(reconnect(hub, start), 5)).toEqual(numbers(0, 5))
}

export const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => String(from + i))

/** Returns an array of the states that a hub reports from now on. */
export function statesOf(hub: Hub): string[] {
  return watch('spillway:store:state', hub, ({ state }) => state)
}

/** Returns an array of the times at which a hub reports that it reconnects from now on. */
export function lossTimesOf(hub: Hub): number[] {
  const times: number[] = []
  watch('spillway:store:state', hub, ({ state }) => {
    if (state === 'reconnecting') times.push(performance.now())
    return state
  })
  return times
}

/** Returns an array of the positions that a hub skips from now on. */
export function skipsOf(hub: Hub): string[] {
  return watch('spillway:store:skip', hub, ({ id }) => id)
}

function watch(
  channel: string,
  hub: Hub,
  read: (message: { state: string; id: string }) => string,
): string[] {
  const found: string[] = []
  const listener = (message: unknown) => {
    const report = message as { store: unknown; state: string; id: string }
    if (report.store === hub._store) found.push(read(report))
  }
  subscribe(channel, listener)
  onTestFinished(() => void unsubscribe(channel, listener))
  return found
}

export async function commandsOf(command: string): Promise<number> {
  const info = String(await admin.info('commandstats'))
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0)
}

/** Returns how many bytes Redis has sent to all its clients. */
export async function bytesSent(): Promise<number> {
  return Number(/total_net_output_bytes:(\d+)/.exec(await admin.info('stats'))?.[1])
}

export async function killConnections(): Promise<void> {
  await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
}

export async function connections(): Promise<number> {
  return (await connectionsWith(/^id=/)).length
}

/** Resolves when only `admin` is connected, because Redis notices the end of an earlier connection late. */
export async function onlyAdminIsConnected(): Promise<void> {
  await expect.poll(connections).toBe(1)
}

/** Returns the ids of the connections whose line of CLIENT LIST matches. */
export async function connectionsWith(pattern: RegExp): Promise<string[]> {
  const list = String(await admin.call('CLIENT', 'LIST', 'TYPE', 'normal')).split('\n')
  return list.filter((line) => pattern.test(line)).map((line) => /^id=(\d+)/.exec(line)?.[1] as string)
}
