import { between, type Check, checkOptions, isCount, oneOf } from '../../check-options.ts'
import { BrokerStore } from '../broker/broker-store.ts'
import {
  BROKER_CHECKS,
  BROKER_DEFAULTS,
  type BrokerStoreOptions,
  checkRetryTime,
  MAX_AGE,
} from '../broker/options.ts'
import type { BrokerEventStore } from '../event-store.ts'
import { checkConnection, clientOf, isConnection, type NatsConnection } from './client.ts'
import { JetStreamDriver } from './jetstream-driver.ts'
import { isStreamName, isSubjectPrefix } from './stream-names.ts'

/** Times are in ms. */
export interface JetStreamStoreOptions extends BrokerStoreOptions {
  /** The name of the stream. Each hub needs its own, which is the same in all processes. Default `spillway`. */
  streamName?: string | undefined
  /** The prefix of all subjects. A subject is the prefix and one token for the channel. Default: `streamName`. */
  subjectPrefix?: string | undefined
  /** The size of the kept events in bytes, as they are stored. Default: as many as `maxEvents` allows. */
  maxBytes?: number | undefined
  /** Where the stream is kept: `file` or `memory`. Default `file`. */
  storage?: 'file' | 'memory' | undefined
  /** How many servers of a cluster keep the stream. Default 1. */
  replicas?: number | undefined
  /** How long an idempotency key counts, and at most `maxAge`. Default 120 000. */
  idempotencyWindow?: number | undefined
  /**
   * A second connection for replays, so that they do not share the bandwidth of live events. It is never closed.
   * Default: the same connection.
   */
  replayConnection?: NatsConnection | undefined
  /** How long a publish waits for NATS. At most `idempotencyWindow`. Default 5 000. */
  publishTimeout?: number | undefined
}

const DEFAULTS = {
  ...BROKER_DEFAULTS,
  streamName: 'spillway',
  storage: 'file',
  replicas: 1,
  idempotencyWindow: 120_000,
} as const

const CHECKS: Record<keyof JetStreamStoreOptions, Check> = {
  ...BROKER_CHECKS,
  streamName: isStreamName,
  subjectPrefix: isSubjectPrefix,
  maxBytes: isCount,
  storage: oneOf('file', 'memory'),
  replicas: between(1, 5),
  replayConnection: (value) => (isConnection(value) ? undefined : 'a connection to NATS'),
}

/**
 * Returns a store in a stream of NATS JetStream, of a server 2.9 or later, for many processes with one hub each. The
 * stream is created, or must match the given options. The connection is never closed.
 *
 * Throws `SseError` `ERR_SSE_OPTION`. Permanent errors, for example a stream that does not match, reject the first
 * publish.
 */
export function jetstreamStore(
  connection: NatsConnection,
  options: JetStreamStoreOptions = {},
): BrokerEventStore {
  checkConnection(connection)
  const requested = checkOptions(options, CHECKS)
  const settings = { ...DEFAULTS, ...requested }
  const { streamName: stream, subjectPrefix = stream, publishTimeout, maxAge = MAX_AGE } = settings
  const { replayConnection } = settings
  const idempotencyWindow = Math.min(settings.idempotencyWindow, maxAge)
  checkRetryTime({ publishTimeout, idempotencyWindow }, 'idempotencyWindow and maxAge')
  const driver = new JetStreamDriver(
    clientOf(connection),
    {
      ...{ stream, subjectPrefix, publishTimeout },
      requested: { ...requested, idempotencyWindow: requested.idempotencyWindow && idempotencyWindow },
      settings: { ...settings, idempotencyWindow },
    },
    replayConnection && replayConnection !== connection ? clientOf(replayConnection) : undefined,
  )
  return new BrokerStore(driver, settings)
}
