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
export { type Refusal, refuseSseStream } from './http/refuse.ts'
export type { Channel, ChannelOptions, PublishedEvent, PublishOptions } from './hub/channel.ts'
export type { Deserialize } from './hub/entry-owner.ts'
export type { HubErrorContext } from './hub/error-reporter.ts'
export type { Filter } from './hub/filter.ts'
export { Hub, type HubEventMap, type HubOptions } from './hub/hub.ts'
export type { SubscribeOptions } from './hub/subscribe-options.ts'
export type { ShutdownOptions } from './lifecycle/graceful-close.ts'
export { type CloseServerOptions, serverCloser } from './lifecycle/server-closer.ts'
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
export { LogEntry, type Publication } from './stores/log-entry.ts'
export { type MemoryStoreOptions, memoryStore, type StoreLimits } from './stores/memory/memory-store.ts'
export type { SseStreamEventMap } from './stream/attachments.ts'
export type { Overflow } from './stream/backlog.ts'
export type { CloseReason } from './stream/close-reason.ts'
export type { Gap, OnGap } from './stream/gap.ts'
export type { RateLimit } from './stream/rate-limit.ts'
export type { Replay } from './stream/replay.ts'
export { SseStream } from './stream/stream.ts'
export type { NodeResponse } from './transports/node-response.ts'
