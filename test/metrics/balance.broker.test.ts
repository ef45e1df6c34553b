import { expect, it } from 'vitest'
import { startNats } from '../support/brokers.ts'
import { openConnection, openHub as openNatsHub } from '../support/nats-hub.ts'
import { startProxy } from '../support/proxy.ts'
import { broker, nodeRedis, openHub, openPubSub } from '../support/redis-hub.ts'
import { Tally } from '../support/tally.ts'
import { expectBalanceUnder } from './balance-contract.ts'

const LOAD = { events: 200, readers: 6, stalled: 1 }

it('counts each event for each subscriber once while the connections to Redis are cut', async () => {
  const proxy = await startProxy(broker.port)

  await expectBalanceUnder(LOAD, openHub({}, nodeRedis(proxy.port)), proxy.cut)
})

it('counts each event for each subscriber once while the connections to NATS are cut', async () => {
  const nats = await startNats()
  const proxy = await startProxy(nats.port)
  const hub = await openNatsHub(await openConnection(proxy.port), { streamName: 'balance' })

  await expectBalanceUnder(LOAD, hub, proxy.cut)
})

it('counts a store whose broker never answers as connecting', async () => {
  const tally = new Tally()
  const proxy = await startProxy(broker.port)
  proxy.mute()

  openPubSub(nodeRedis(proxy.port))

  expect((await tally.read())('store_state')).toBe(1)
})
