export { SseError, type SseErrorCode } from './errors.ts'
export type { AnyEvents, DataEvent, EventMap, SseEvent } from './event/event.ts'
export type { Source, SourceItem } from './event/source.ts'
export type { Serialize } from './formats/event-fields.ts'
export { encode, encodeComment } from './formats/event-stream.ts'
export type { FormatName } from './formats/format.ts'
export {
  type EventStreamBody,
  type ParsedEvent,
  type ParseOptions,
  parseEvents,
} from './formats/parse-events.ts'
export { createSseResponse } from './http/create-sse-response.ts'
export { createSseStream } from './http/create-sse-stream.ts'
export type { SseHandler } from './http/handler.ts'
export type { SseHandlerOptions } from './http/handler-options.ts'
export type { NodeRequest } from './http/last-event-id.ts'
export type { SseStreamOptions } from './http/options.ts'
export { refuseSseStream } from './http/refuse.ts'
export { type NodeOptions, sse } from './http/sse.ts'
export type { Channel, ChannelOptions, PublishedEvent, PublishOptions } from './hub/channel.ts'
export type { Deserialize } from './hub/entry-owner.ts'
export type { HubErrorContext } from './hub/error-reporter.ts'
export type { Filter } from './hub/filter.ts'
export { Hub, type HubEventMap } from './hub/hub.ts'
export type { CloseStreamsOptions, StreamFilter } from './hub/hub-control.ts'
export type { HubOptions } from './hub/hub-options.ts'
export type { SubscribeOptions } from './hub/subscribe-options.ts'
export type { Admission } from './lifecycle/admission.ts'
export type { Authorize, Grant } from './lifecycle/authorization.ts'
export type { ShutdownOptions } from './lifecycle/graceful-close.ts'
export { type CloseServerOptions, serverCloser } from './lifecycle/server-closer.ts'
export { type GracefulShutdown, gracefulShutdown, type ShutdownState } from './lifecycle/shutdown.ts'
export type { GracefulShutdownOptions, ShutdownHub, ShutdownRuns } from './lifecycle/shutdown-options.ts'
export { StreamLimits, type StreamLimitsOptions } from './lifecycle/stream-limits.ts'
export type { DiagnosticsMessages } from './metrics/diagnostics-messages.ts'
export type { Merge } from './runs/merge.ts'
export type { Run } from './runs/run.ts'
export type { EndEvent, RunEnd } from './runs/run-end.ts'
export type { RunsEventMap } from './runs/run-errors.ts'
export type { RunLimits, RunSubscribeOptions, RunsOptions } from './runs/run-options.ts'
export { Runs } from './runs/runs.ts'
export type {
  BrokerEventStore,
  EventStore,
  History,
  Page,
  ReadQueue,
  StoreListener,
  StoreReader,
  StoreState,
} from './stores/event-store.ts'
export { LogEntry, type Publication, type TraceContext } from './stores/log-entry.ts'
export { memoryCounts } from './stores/memory/memory-counts.ts'
export { memoryRuns } from './stores/memory/memory-runs.ts'
export { type MemoryStoreOptions, memoryStore, type StoreLimits } from './stores/memory/memory-store.ts'
export type {
  RunBatch,
  RunEndReason,
  RunEvent,
  RunOwner,
  RunPosition,
  RunRetention,
  RunState,
  RunStore,
  RunWatch,
  RunWatcher,
  StartedRun,
  StoredBatch,
} from './stores/run-store.ts'
export type { StreamCounts } from './stores/stream-counts.ts'
export type { SseStreamEventMap } from './stream/attachments.ts'
export type { Overflow } from './stream/backlog.ts'
export type { CloseReason } from './stream/close-reason.ts'
export type { Gap, OnGap } from './stream/gap.ts'
export type { RateLimit } from './stream/rate-limit.ts'
export type { Refusal } from './stream/refusal.ts'
export type { Register, SseContext } from './stream/register.ts'
export type { Replay } from './stream/replay.ts'
export { SseStream } from './stream/stream.ts'
export type { NodeResponse } from './transports/node-response.ts'
