import { onTestFinished } from 'vitest'
import { type Broker, launchNats, launchRedis } from '../../support/broker.js'

export type { Broker } from '../../support/broker.js'

/** Starts a Redis that ends with the test. It writes each command to disk before it replies. */
export async function startRedis(...args: string[]): Promise<Broker> {
  return endWithTest(await launchRedis(...args))
}

/** Starts a NATS server with JetStream, or with a configuration, that ends with the test. */
export async function startNats(configuration?: string): Promise<Broker> {
  return endWithTest(await launchNats(configuration))
}

// In a hook there is no test yet. The hook then ends the broker, or the end of the process does.
function endWithTest(broker: Broker): Broker {
  try {
    onTestFinished(() => broker.end())
  } catch {
    process.once('exit', () => void broker.end())
  }
  return broker
}
