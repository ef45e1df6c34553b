import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import type { NatsConnection } from '../../../src/stores/nats/index.ts'
import type { Broker } from '../../support/brokers.ts'
import { startNatsCluster } from '../../support/nats-cluster.ts'
import { eventually, numbers, openHub, subscribeStream } from '../../support/nats-hub.ts'

let brokers: Broker[]

beforeAll(async () => {
  brokers = await startNatsCluster(3)
  return () => Promise.all(brokers.map((broker) => broker.end()))
})

test('a client receives each event once and in order if the leader of the stream is killed in between', async () => {
  const [a, b] = [await opened(), await opened()]
  const options = { streamName: 'log', replicas: 3, publishTimeout: 60_000 }
  // The store waits for the servers to choose a leader.
  const [writer, reader] = [await openHub(a, options), await openHub(b, options)]
  const manager = await jetstreamManager(a)
  const clients = [await subscribeStream(writer), await subscribeStream(reader)]
  const published: Array<Promise<string>> = []
  for (let n = 0; n < 200; n++) {
    published.push(writer.channel('a').publish({ data: n }, n % 2 ? { idempotencyKey: `k${n}` } : {}))
    if (n === 100) {
      await published[50]
      await killLeader(await manager.streams.info('log'))
    }
  }
  const ids = await Promise.all(published)
  expect(new Set(ids).size).toBe(200)
  for (const client of clients) await eventually(() => client.seen).toEqual(numbers(0, 199))
  expect(clients[1]?.ids).toEqual(ids)
  expect(await writer.channel('a').publish({ data: 'again' }, { idempotencyKey: 'k99' })).toBe(ids[99])
})

/** Opens a connection that knows all servers. */
async function opened(): Promise<NatsConnection> {
  const servers = brokers.map(({ port }) => `127.0.0.1:${port}`)
  const connection = await connect({
    servers,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 20,
    reconnectJitter: 0,
  })
  onTestFinished(() => connection.close())
  return connection
}

async function killLeader({ cluster }: { cluster?: { leader?: string } }): Promise<void> {
  const leader = brokers.find(({ port }) => cluster?.leader === `server-${port}`)
  if (!leader) throw new Error('The stream has no leader.')
  await leader.stop()
}
