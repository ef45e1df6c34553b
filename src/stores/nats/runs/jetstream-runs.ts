import { between, type Check, checkOptions, isCount, oneOf } from '../../../check-options.ts'
import { MAX_AGE } from '../../broker/options.ts'
import type { RunStore } from '../../run-store.ts'
import { checkConnection, clientOf, type NatsConnection } from '../client.ts'
import { isStreamName, isSubjectPrefix } from '../stream-names.ts'
import { JetStreamRunStore } from './jetstream-run-store.ts'

export interface JetStreamRunsOptions {
  /** The name of the stream of all runs, the same in all processes. Default `spillway-runs`. */
  streamName?: string | undefined
  /**
   * The prefix of all subjects. The subject of a run is the prefix and one token for its id. `<prefix>-live.*` and
   * `<prefix>-owner.*` are used too. Default: `streamName`.
   */
  subjectPrefix?: string | undefined
  /**
   * How long the server keeps an event, in ms. A run is removed after this time at the latest, even if its own maximum
   * age is longer. Default 86 400 000, which is a day.
   */
  maxAge?: number | undefined
  /**
   * The size of the kept events of all runs in bytes, as they are stored. The oldest ones are removed. Default: no
   * limit.
   */
  maxBytes?: number | undefined
  /** Where the stream is kept: `file` or `memory`. Default `file`. */
  storage?: 'file' | 'memory' | undefined
  /** How many servers of a cluster keep the stream. Default 1. */
  replicas?: number | undefined
}

const DEFAULTS = {
  streamName: 'spillway-runs',
  maxAge: 86_400_000,
  storage: 'file',
  replicas: 1,
} as const

// How long the server keeps the id of a message, in ms. It is only compared with the ids of messages in flight.
const DUPLICATE_WINDOW = 2_000

const CHECKS: Record<keyof JetStreamRunsOptions, Check> = {
  streamName: isStreamName,
  subjectPrefix: isSubjectPrefix,
  maxAge: between(1_000, MAX_AGE),
  maxBytes: isCount,
  storage: oneOf('file', 'memory'),
  replicas: between(1, 5),
}

/**
 * Returns a store of runs in a stream of NATS JetStream, of a server 2.9 or later, for many processes. The stream is
 * created, or must match the given options. The connection is never closed.
 *
 * Throws `SseError` `ERR_SSE_OPTION`. Permanent errors, for example a stream that does not match, reject the first
 * start.
 */
export function jetstreamRuns(connection: NatsConnection, options: JetStreamRunsOptions = {}): RunStore {
  checkConnection(connection)
  const requested = checkOptions(options, CHECKS)
  const settings = { ...DEFAULTS, ...requested }
  const { streamName: stream, subjectPrefix = stream, maxAge } = settings
  const idempotencyWindow = Math.min(maxAge, DUPLICATE_WINDOW)
  return new JetStreamRunStore(clientOf(connection), {
    ...{ stream, subjectPrefix, maxAge, requested },
    settings: { ...settings, idempotencyWindow },
  })
}
