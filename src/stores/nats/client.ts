import type { JetStreamClient, JetStreamManager, jetstream } from '@nats-io/jetstream'

// Inferred, so that the package that declares it need not be installed by name.
/** A connection to NATS, for example of `@nats-io/transport-node`. */
export type NatsConnection = Parameters<typeof jetstream>[0]

/** The user's connection and what was made from it. */
export interface NatsClient {
  readonly connection: NatsConnection
  readonly jetstream: JetStreamClient
  readonly manager: Promise<JetStreamManager>
}
