import type { JetStreamManager } from '@nats-io/jetstream'
import { type ConfiguredStream, ensureStreamWith } from '../stream-config.ts'

/** The stream of all counts. */
export type CountStreamSpec = ConfiguredStream

/** Creates the stream if there is none. Throws `SseError` `ERR_SSE_STORE` if it does not match. */
export function ensureCountStream(manager: JetStreamManager, spec: CountStreamSpec): Promise<void> {
  // Only the newest message of a key counts.
  return ensureStreamWith(manager, spec, { max_msgs_per_subject: 1, deny_purge: false })
}
