import { beforeAll } from 'vitest'
import { jetstreamRuns, type NatsConnection } from '../../../src/stores/nats/index.ts'
import { type Broker, startNats } from '../../support/brokers.ts'
import { connectNats } from '../../support/nats-hub.ts'
import { runStoreContract } from '../run-store-contract.ts'

let broker: Broker
const connections: NatsConnection[] = []

beforeAll(async () => {
  broker = await startNats()
})

runStoreContract(
  'jetstreamRuns',
  () => async () => {
    const connection = await connectNats(broker.port)
    connections.push(connection)
    return jetstreamRuns(connection)
  },
  async () => {
    for (const connection of connections) await connection.close()
    await broker.end()
  },
)
