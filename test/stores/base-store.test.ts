import { expect, it } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { BaseStore } from '../../src/stores/base-store.ts'
import { BrokerStore } from '../../src/stores/broker/broker-store.ts'
import type { BrokerDriver } from '../../src/stores/broker/driver.ts'
import { BROKER_DEFAULTS } from '../../src/stores/broker/options.ts'
import { memoryStore } from '../../src/stores/memory/memory-store.ts'

const driver: BrokerDriver = {
  open: async () => '0',
  append: async () => '1',
  range: async () => 'gap',
  has: async () => false,
  historyBefore: async (after) => ({ after, isIncomplete: false }),
  oldest: async () => ({ position: '0', isFirst: true }),
  isId: () => true,
  compare: () => 0,
  close: async () => {},
}
const settings = { ...BROKER_DEFAULTS, recentEvents: 1, recentBytes: 1, publishTimeout: 1 }

it.each([
  ['memory', memoryStore()],
  ['broker', new BrokerStore(driver, settings)],
])('a %s store throws ERR_SSE_OPTION for a second hub', (_, store) => {
  expect(store).toBeInstanceOf(BaseStore)
  new Hub({ store })
  expect(() => new Hub({ store })).toThrow(
    expect.objectContaining({
      code: 'ERR_SSE_OPTION',
      message: 'This store already belongs to a hub; create one store per hub.',
    }),
  )
})

it('a hub throws ERR_SSE_OPTION for a store in place of its options', () => {
  expect(() => new Hub(memoryStore() as never)).toThrow(
    expect.objectContaining({
      code: 'ERR_SSE_OPTION',
      message: 'Pass the store as an option, for example new Hub({ store }).',
    }),
  )
})
