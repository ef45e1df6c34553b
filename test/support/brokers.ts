import { onTestFinished } from 'vitest'
import { type Broker, launchNats, launchRedis } from './broker.js'

export type { Broker } from './broker.js'

/** A Redis that ends with the test, and writes each command to disk before it answers. */
export async function startRedis(...args: string[]): Promise<Broker> {
  return endWithTest(await launchRedis(...args))
}

/** A NATS server with JetStream, or with what a configuration says, that ends with the test. */
export async function startNats(configuration?: string): Promise<Broker> {
  return endWithTest(await launchNats(configuration))
}

// One that a hook starts is ended by what the hook returns.
function endWithTest(broker: Broker): Broker {
  try {
    onTestFinished(() => broker.end())
  } catch {
    process.once('exit', () => void broker.end())
  }
  return broker
}
