export type { NatsConnection } from './client.ts'
export { type JetStreamStoreOptions, jetstreamStore } from './jetstream-store.ts'
