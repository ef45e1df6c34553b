import type { BrokerDriver, DriverOwner } from '../../src/stores/broker/driver.ts'

/** A driver of a broker without entries, which is ready at once. */
export class EmptyDriver implements BrokerDriver {
  owner!: DriverOwner

  async open(owner: DriverOwner): Promise<string> {
    this.owner = owner
    owner._onState('ready')
    return '1'
  }

  append: BrokerDriver['append'] = async () => ''
  range = async () => 'gap' as const
  has = async () => false
  historyBefore = async (after: string) => ({ after, isIncomplete: false })
  oldest = async () => ({ position: '0', isFirst: true })
  isId = () => false
  compare = () => 0
  async close(): Promise<void> {}
}
