export type { NatsConnection } from './client.ts'
export { type JetStreamCountsOptions, jetstreamCounts } from './counts/jetstream-counts.ts'
export { type JetStreamStoreOptions, jetstreamStore } from './jetstream-store.ts'
export { type JetStreamRunsOptions, jetstreamRuns } from './runs/jetstream-runs.ts'
