import type { JetStreamClient, JetStreamManager, jetstream } from '@nats-io/jetstream'

// By way of the one package that is asked for: it knows where the others are.
/** A connection to NATS, of `@nats-io/transport-node` say. */
export type NatsConnection = Parameters<typeof jetstream>[0]

/** What the parts of a log work with. */
export interface NatsClient {
  readonly connection: NatsConnection
  readonly jetstream: JetStreamClient
  readonly manager: Promise<JetStreamManager>
}
