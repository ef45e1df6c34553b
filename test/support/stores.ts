import { BrokerStore } from '../../src/stores/broker/broker-store.ts'
import type { BrokerDriver, DriverOwner } from '../../src/stores/broker/driver.ts'
import { BROKER_DEFAULTS } from '../../src/stores/broker/options.ts'
import type { EventStore } from '../../src/stores/event-store.ts'
import { memoryStore } from '../../src/stores/memory/memory-store.ts'

/** A broker that stores each record in an array and delivers it in the next microtask. */
class ArrayDriver implements BrokerDriver {
  readonly records: string[] = []
  #owner!: DriverOwner

  async open(owner: DriverOwner): Promise<string> {
    this.#owner = owner
    return '0'
  }

  async append(channel: string, record: string): Promise<string> {
    const id = String(this.records.push(record))
    queueMicrotask(() => this.#owner._onEntries([{ id, channel, record }]))
    return id
  }

  range = async () => 'gap' as const
  has = async () => false
  historyBefore = async (after: string) => ({ after, isIncomplete: false })
  oldest = async () => ({ position: '0', isFirst: true })
  isId = () => false
  compare = (a: string, b: string) => Number(a) - Number(b)
  async close(): Promise<void> {}
}

const brokerStore = () =>
  new BrokerStore(new ArrayDriver(), {
    ...BROKER_DEFAULTS,
    recentEvents: 100,
    recentBytes: 1e6,
    publishTimeout: 1_000,
  })

/** A store of each kind: one that keeps the publications themselves, and one that decodes records. */
export const STORES: Array<[name: string, open: () => EventStore]> = [
  ['memory', memoryStore],
  ['broker', brokerStore],
]
