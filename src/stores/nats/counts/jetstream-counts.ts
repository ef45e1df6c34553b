import { between, type Check, checkOptions, MAX_TIME, oneOf } from '../../../check-options.ts'
import { SharedCounts } from '../../broker/shared-counts.ts'
import type { StreamCounts } from '../../stream-counts.ts'
import { checkConnection, clientOf, type NatsConnection } from '../client.ts'
import { isStreamName, isSubjectPrefix } from '../stream-names.ts'
import { JetStreamCountsDriver } from './jetstream-counts-driver.ts'

/** Times are in ms. */
export interface JetStreamCountsOptions {
  /** The name of the stream: the same in all processes. Default `spillway-counts`. */
  streamName?: string | undefined
  /**
   * The prefix of all subjects. The subject of a key is the prefix and one token. `<prefix>-process.*` is used too.
   * Default: `streamName`.
   */
  subjectPrefix?: string | undefined
  /**
   * How long the streams of a process without a response remain counted. The streams of a process without a connection
   * do not count. At least 1 000. Default 15 000.
   */
  lease?: number | undefined
  /** How long a new stream waits for NATS. Default 1 000. */
  commandTimeout?: number | undefined
  /** Where the stream is kept: `file` or `memory`. Default `memory`, because processes store their counts again. */
  storage?: 'file' | 'memory' | undefined
  /** How many servers of a cluster keep the stream. Default 1. */
  replicas?: number | undefined
}

const DEFAULTS = {
  streamName: 'spillway-counts',
  lease: 15_000,
  commandTimeout: 1_000,
  storage: 'memory',
  replicas: 1,
} as const

const CHECKS: Record<keyof JetStreamCountsOptions, Check> = {
  streamName: isStreamName,
  subjectPrefix: isSubjectPrefix,
  lease: between(1_000, 86_400_000),
  commandTimeout: between(1, MAX_TIME),
  storage: oneOf('file', 'memory'),
  replicas: between(1, 5),
}

// How long a count is kept after its last update, in ms. At least four leases.
const KEEP = 3_600_000
// How long the server keeps the id of a message, in ms. It is only compared with the ids of messages in flight.
const DUPLICATE_WINDOW = 2_000

/**
 * Returns counts in a stream of NATS JetStream, of a server 2.9 or later, that many processes share. The stream is
 * created, or must match the given options. The connection is never closed.
 *
 * Throws `SseError` `ERR_SSE_OPTION`.
 */
export function jetstreamCounts(
  connection: NatsConnection,
  options: JetStreamCountsOptions = {},
): StreamCounts {
  checkConnection(connection)
  const { storage, replicas, ...requested } = checkOptions(options, CHECKS)
  const settings = { ...DEFAULTS, ...requested }
  const { streamName: stream, subjectPrefix = stream, lease, commandTimeout: timeout } = settings
  const maxAge = Math.max(KEEP, 4 * lease)
  const driver = new JetStreamCountsDriver(clientOf(connection), {
    ...{ stream, subjectPrefix, maxAge, lease },
    requested: { storage, replicas },
    settings: {
      ...{ storage: storage ?? DEFAULTS.storage, replicas: replicas ?? DEFAULTS.replicas },
      ...{ maxAge, idempotencyWindow: DUPLICATE_WINDOW },
    },
  })
  return new SharedCounts(driver, { lease, timeout })
}
