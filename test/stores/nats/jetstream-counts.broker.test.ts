import { beforeAll } from 'vitest'
import { jetstreamCounts, type NatsConnection } from '../../../src/stores/nats/index.ts'
import { type Broker, startNats } from '../../support/brokers.ts'
import { connectNats } from '../../support/nats-hub.ts'
import { startProxy } from '../../support/proxy.ts'
import { countsContract } from '../counts-contract.ts'

let broker: Broker
const connections: NatsConnection[] = []

beforeAll(async () => {
  broker = await startNats()
})

countsContract(
  'jetstreamCounts',
  async () => async (lease) => {
    const proxy = await startProxy(broker.port)
    const connection = await connectNats(proxy.port)
    connections.push(connection)
    return {
      counts: jetstreamCounts(connection, { lease, commandTimeout: 20_000 }),
      die: () => proxy.silence(),
    }
  },
  async () => {
    for (const connection of connections) await connection.close()
    await broker.end()
  },
)
