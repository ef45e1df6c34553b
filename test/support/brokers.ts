import { onTestFinished } from 'vitest'
import { type Broker, launchNats, launchRedis } from '../../support/broker.js'

export type { Broker } from '../../support/broker.js'

/** Starts a Redis that is stopped after the test. It writes each command to disk before it replies. */
export async function startRedis(...args: string[]): Promise<Broker> {
  return endAfterTest(await launchRedis(...args))
}

/** Starts a NATS server with JetStream, or with a configuration. It is stopped after the test. */
export async function startNats(configuration?: string): Promise<Broker> {
  return endAfterTest(await launchNats(configuration))
}

// A hook runs outside a test. The broker is then stopped by the hook, or at the end of the process.
function endAfterTest(broker: Broker): Broker {
  try {
    onTestFinished(() => broker.end())
  } catch {
    process.once('exit', () => void broker.end())
  }
  return broker
}
