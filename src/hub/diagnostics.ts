import { diagnosticsChannel } from '../diagnostics.ts'
import type { LogEntry, TraceContext } from '../stores/log-entry.ts'
import type { SseStream } from '../stream/stream.ts'
import type { Hub } from './hub.ts'

/** The message of `spillway:publish:start`. */
export interface PublishStartMessage {
  readonly hub: Hub
  readonly channel: string
  /** A subscriber MAY set it. It is then passed with the event to the processes that deliver it. */
  trace: TraceContext | undefined
}

/** The message of `spillway:publish:end`: the object of `spillway:publish:start`, with the result. */
export interface PublishEndMessage extends PublishStartMessage {
  /** The id of the event. Undefined if the publish was rejected. */
  readonly id: string | undefined
  /** The time until the store had the event, in ms. */
  readonly duration: number
  readonly error: unknown
}

/** The message of `spillway:publish:error`. */
export interface PublishErrorMessage {
  readonly hub: Hub
  readonly channel: string
  readonly error: unknown
}

/** The message of `spillway:channel:fan-out`. */
export interface FanOutMessage {
  readonly hub: Hub
  readonly channel: string
  /** Consecutive events of the channel. */
  readonly entries: readonly LogEntry[]
  /** The number of streams in this process that are subscribed to the channel. */
  readonly subscribers: number
  /** How many deliveries a filter hid, of `entries.length * subscribers`. */
  readonly filtered: number
  /** How many deliveries were left to a replay, because their client is still catching up. */
  readonly deferred: number
  /** In ms. */
  readonly duration: number
}

/** The message of `spillway:filter:error`. */
export interface FilterErrorMessage {
  readonly hub: Hub
  readonly channel: string
  /** The id of the event. */
  readonly id: string
  /**
   * The stream of the filter. Undefined if `deserialize` failed, which hides the event from every stream with a filter.
   */
  readonly stream: SseStream | undefined
  readonly error: unknown
}

export const publishStartChannel = diagnosticsChannel<PublishStartMessage>('spillway:publish:start')
export const publishEndChannel = diagnosticsChannel<PublishEndMessage>('spillway:publish:end')
export const publishErrorChannel = diagnosticsChannel<PublishErrorMessage>('spillway:publish:error')
export const fanOutChannel = diagnosticsChannel<FanOutMessage>('spillway:channel:fan-out')
export const filterErrorChannel = diagnosticsChannel<FilterErrorMessage>('spillway:filter:error')
