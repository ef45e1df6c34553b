import { jetstreamManager } from '@nats-io/jetstream'
import { expect, test } from 'vitest'
import { startNats } from '../../support/brokers.ts'
import { eventually, openConnection, openHub, publish, subscribeStream } from '../../support/nats-hub.ts'

test('a full disk rejects publishes with ERR_SSE_STORE, and streams stay open and resume exactly', async () => {
  const broker = await startNats('jetstream: { max_file_store: 1MB }')
  const connection = await openConnection(broker.port)
  const manager = await jetstreamManager(connection)
  await manager.streams.add({ name: 'other', subjects: ['other'] })
  const hub = await openHub(connection, { streamName: 'full', publishTimeout: 2_000, recentEvents: 1 })
  const live = await subscribeStream(hub)
  const [first] = await publish(hub, [0, 1, 2])
  for (let isFull = false; !isFull; ) {
    const stored = connection.request('other', 'x'.repeat(50_000))
    isFull = await stored.then((reply) => 'error' in (reply.json() as object))
  }
  const large = 'x'.repeat(100_000)
  const rejected = { code: 'ERR_SSE_STORE' }
  await expect(hub.channel('a').publish({ data: large })).rejects.toMatchObject(rejected)
  const retried = hub.channel('a').publish({ data: large }, { idempotencyKey: 'key' })
  await expect(retried).rejects.toMatchObject(rejected)
  const resumed = await subscribeStream(hub, first)
  await eventually(() => resumed.seen).toEqual([1, 2])
  await manager.streams.delete('other')
  await hub.channel('a').publish({ data: 3 }, { idempotencyKey: 'key' })
  await eventually(() => live.seen).toEqual([0, 1, 2, 3])
  await eventually(() => resumed.seen).toEqual([1, 2, 3])
  expect(hub.state).toBe('ready')
})
