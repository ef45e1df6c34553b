import { beforeAll } from 'vitest'
import { publishedContract } from '../../hub/published-contract.ts'
import { type Broker, startNats } from '../../support/brokers.ts'
import { openConnection, openHub } from '../../support/nats-hub.ts'

let broker: Broker
let streams = 0

beforeAll(async () => {
  broker = await startNats()
  return () => broker.end()
})

// Without entries in memory, a replay reads them from NATS.
publishedContract('JetStream', async () =>
  openHub(await openConnection(broker.port), { streamName: `published-${++streams}`, recentEvents: 1 }),
)
