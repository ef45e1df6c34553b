export type { NatsConnection } from './client.ts'
export { type JetStreamLogOptions, jetstreamLog } from './jetstream-store.ts'
