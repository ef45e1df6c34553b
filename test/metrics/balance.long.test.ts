import { it } from 'vitest'
import { startProxy } from '../support/proxy.ts'
import { broker, nodeRedis, openHub } from '../support/redis-hub.ts'
import { expectBalanceUnder } from './balance-contract.ts'

it('counts each event for each of many subscribers once while the connections to Redis are cut', async () => {
  const proxy = await startProxy(broker.port)
  const hub = openHub({ recentEvents: 50 }, nodeRedis(proxy.port))

  await expectBalanceUnder({ events: 1_000, readers: 40, stalled: 5 }, hub, proxy.cut)
}, 300_000)
