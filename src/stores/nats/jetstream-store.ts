import { jetstream } from '@nats-io/jetstream'
import { between, type Check, checkOptions, MAX_TIME, oneOf, withDefaults } from '../../check-options.ts'
import { describe, SseError } from '../../errors.ts'
import { type BrokerSettings, BrokerStore } from '../broker/broker-store.ts'
import type { EventStore } from '../event-store.ts'
import type { NatsConnection } from './client.ts'
import { JetStreamDriver } from './jetstream-driver.ts'

/** Times are milliseconds. */
export interface JetStreamStoreOptions {
  /** The name of the stream: one for each hub, the same in all processes. Default `spillway`. */
  streamName?: string | undefined
  /** What the subjects begin with: the channel is one token more. Default: the name of the stream. */
  subjectPrefix?: string | undefined
  /** How many events the stream keeps. Default 100 000. */
  maxEvents?: number | undefined
  /** The same in bytes, as they are stored. Default: as many as `maxEvents` take. */
  maxBytes?: number | undefined
  /** How long the stream keeps an event. Default: as long as `maxEvents` lets it. */
  maxAge?: number | undefined
  /** Where the stream is kept: `file` or `memory`. Default `file`. */
  storage?: 'file' | 'memory' | undefined
  /** How many servers of a cluster keep the stream. Default 1. */
  replicas?: number | undefined
  /** How long an idempotency key counts, and at most `maxAge`. Default 120 000, two minutes. */
  idempotencyWindow?: number | undefined
  /** How many of the newest events this process keeps too, to replay them without asking NATS. Default 10 000. */
  recentEvents?: number | undefined
  /** The same in bytes on the wire. Default 16 MiB. */
  recentBytes?: number | undefined
  /** How long a publish waits for NATS. At most `idempotencyWindow`. Default 5 000. */
  publishTimeout?: number | undefined
}

const MAX = Number.MAX_SAFE_INTEGER
// The server counts in nanoseconds, in 64 bits: ten years are enough.
const MAX_AGE = 10 * 365 * 86_400_000

const DEFAULTS = {
  streamName: 'spillway',
  maxEvents: 100_000,
  storage: 'file',
  replicas: 1,
  idempotencyWindow: 120_000,
  recentEvents: 10_000,
  recentBytes: 16 * 1024 * 1024,
  publishTimeout: 5_000,
} as const

const isName: Check = (name) =>
  typeof name === 'string' && /^[\w-]{1,255}$/.test(name) ? undefined : 'a name of letters, digits, _ and -'

// `$` is where the server's own subjects are.
const isPrefix: Check = (prefix) =>
  typeof prefix === 'string' && prefix.length <= 255 && /^[\w-][\w$-]*(\.[\w$-]+)*$/.test(prefix)
    ? undefined
    : 'names of letters, digits, _, - and $ with dots between them'

const CHECKS: Record<keyof JetStreamStoreOptions, Check> = {
  streamName: isName,
  subjectPrefix: isPrefix,
  maxEvents: between(1, MAX),
  maxBytes: between(1, MAX),
  maxAge: between(1_000, MAX_AGE),
  storage: oneOf('file', 'memory'),
  replicas: between(1, 5),
  idempotencyWindow: between(1_000, MAX_AGE),
  recentEvents: between(1, MAX),
  recentBytes: between(1, MAX),
  publishTimeout: between(1, MAX_TIME),
}

/**
 * A log in a stream of NATS JetStream, of a server 2.9 or later, for many processes with one hub each. The stream is
 * created, or must fit the options that are given. The connection is left as it is, and is never closed.
 *
 * Throws `SseError` `ERR_SSE_OPTION`. What cannot work, a stream that does not fit say, is said at the first use.
 */
export function jetstreamStore(connection: NatsConnection, options: JetStreamStoreOptions = {}): EventStore {
  checkConnection(connection)
  checkOptions(options, CHECKS)
  const settings: JetStreamStoreOptions & typeof DEFAULTS & BrokerSettings = withDefaults(options, DEFAULTS)
  const { streamName: stream, subjectPrefix = stream, publishTimeout, maxAge = MAX_AGE } = settings
  const idempotencyWindow = Math.min(settings.idempotencyWindow, maxAge)
  if (publishTimeout > idempotencyWindow) {
    const message =
      'Option publishTimeout must be at most idempotencyWindow and maxAge: what is sent again would be doubled.'
    throw new SseError('ERR_SSE_OPTION', message)
  }
  const client = jetstream(connection)
  const driver = new JetStreamDriver(
    // Not asked whether it is there: that is told at the first use.
    { connection, jetstream: client, manager: client.jetstreamManager(false) },
    {
      ...{ stream, subjectPrefix, publishTimeout },
      requested: { ...options, idempotencyWindow: options.idempotencyWindow && idempotencyWindow },
      settings: { ...settings, idempotencyWindow },
    },
  )
  return new BrokerStore(driver, settings)
}

/** Throws `SseError` `ERR_SSE_OPTION` for what is no connection to NATS. */
function checkConnection(connection: NatsConnection): void {
  const { request, status } = Object(connection) as Partial<NatsConnection>
  if (typeof request === 'function' && typeof status === 'function') return
  throw new SseError('ERR_SSE_OPTION', `Expected a connection to NATS, not ${describe(connection)}.`)
}
