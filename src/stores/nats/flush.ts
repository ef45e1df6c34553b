import type { NatsConnection } from './client.ts'
import type { ConnectionMonitor } from './connection-monitor.ts'
import { TransientError } from './errors.ts'

/**
 * Resolves once the server has received all sent messages. Rejects with `TransientError` after `timeout` ms, or if the
 * connection is lost.
 */
export function flush(
  connection: NatsConnection,
  monitor: ConnectionMonitor,
  timeout?: number,
): Promise<void> {
  // The client may report a lost connection first, with an error of its own.
  const failed = (error: unknown) => {
    throw new TransientError((error as Error).message)
  }
  return monitor.whileConnected(() => connection.flush().catch(failed), timeout)
}
