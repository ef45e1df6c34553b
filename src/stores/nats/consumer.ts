import type { NatsConnection } from './client.ts'

export type Subscription = ReturnType<NatsConnection['subscribe']>

/**
 * Returns the configuration of a consumer of the messages after a sequence. The consumer is kept in memory, and
 * acknowledges nothing.
 */
export function consumerAfter(sequence: number, name: string) {
  return {
    name,
    deliver_policy: 'by_start_sequence',
    opt_start_seq: sequence + 1,
    ack_policy: 'none',
    mem_storage: true,
    num_replicas: 1,
  } as const
}

/** Returns an inbox. If the user may only subscribe to certain inboxes, their prefix is an option of the connection. */
export function inboxOf(connection: NatsConnection, name: string): string {
  const { options } = connection as { options?: { inboxPrefix?: string } }
  return `${options?.inboxPrefix ?? '_INBOX'}.${name}`
}
