import { createClient } from 'redis'
import { beforeAll, describe } from 'vitest'
import { jetstreamRuns } from '../../src/stores/nats/index.ts'
import { redisRuns } from '../../src/stores/redis/index.ts'
import { type Broker, startNats, startRedis } from '../support/brokers.ts'
import { openConnection } from '../support/nats-hub.ts'
import type { ConnectRunStores } from './run-processes.ts'

let count = 0

/** Defines tests of runs on Redis and on JetStream. */
export function describeOnBrokers(define: (name: string, connect: ConnectRunStores) => void): void {
  describe.each([
    ['Redis', startRedis, onRedis],
    ['JetStream', startNats, onJetStream],
  ] as const)('with runs on %s', (name, start, connect) => {
    let broker: Broker
    beforeAll(async () => {
      broker = await start()
      return () => broker.end()
    })
    define(name, () => connect(broker.port, `runs-${++count}`))
  })
}

export function onRedis(port: number, key: string) {
  return () =>
    redisRuns(
      createClient({ url: `redis://127.0.0.1:${port}` }).on('error', () => {}),
      { key },
    )
}

export function onJetStream(port: number, streamName: string) {
  return async () => jetstreamRuns(await openConnection(port), { streamName })
}
