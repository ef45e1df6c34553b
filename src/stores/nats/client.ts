import { type JetStreamClient, type JetStreamManager, jetstream } from '@nats-io/jetstream'
import { describe, SseError } from '../../errors.ts'

// The type is inferred, so that the package that declares it need not be installed by name.
/** A connection to NATS, for example of `@nats-io/transport-node`. */
export type NatsConnection = Parameters<typeof jetstream>[0]

/** The statuses of a connection. The client has the method `stop`, but its type does not. */
export type Statuses = ReturnType<NatsConnection['status']> & { stop?(): void }

/** The user's connection and the clients created from it. */
export interface NatsClient {
  readonly connection: NatsConnection
  readonly jetstream: JetStreamClient
  readonly manager: Promise<JetStreamManager>
}

/** Throws `SseError` `ERR_SSE_OPTION` unless a value is a connection. */
export function checkConnection(connection: NatsConnection): void {
  if (isConnection(connection)) return
  throw new SseError('ERR_SSE_OPTION', `Expected a connection to NATS, not ${describe(connection)}.`)
}

export function isConnection(value: unknown): boolean {
  const { request, status } = Object(value) as Partial<NatsConnection>
  return typeof request === 'function' && typeof status === 'function'
}

export function clientOf(connection: NatsConnection): NatsClient {
  const client = jetstream(connection)
  // The manager does not check for JetStream, because the first request reports its absence.
  return { connection, jetstream: client, manager: client.jetstreamManager(false) }
}
