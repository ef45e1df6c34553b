import type { LogEntry } from '../stores/log-entry.ts'
import type { ResumePoint } from '../stream/resume-point.ts'
import type { SseStream } from '../stream/stream.ts'
import type { CatchUp } from './catch-up.ts'
import type { HistoryRequest } from './history.ts'
import type { SubscribeOptions } from './subscribe-options.ts'

/** The subscription that catches up. */
export interface CatchUpOwner {
  readonly stream: SseStream
  readonly channels: readonly string[]
  /** The options of the channels, each once. Empty if no options have hooks. */
  readonly optionsWithHooks: Iterable<SubscribeOptions>
  /** The history requests of a client without a position, by the options of a subscription. */
  readonly history: ReadonlyMap<SubscribeOptions, HistoryRequest> | undefined
  readonly resumePoint: ResumePoint
  isSubscribed(channel: string): boolean
  /**
   * @internal Returns the channels that may have entries after the position. Their filters MAY change the subscription.
   */
  _channelsToRead(): readonly string[]
  /** Whether this is still the catch-up of the subscription. */
  isCatchingUp(catchUp: CatchUp): boolean
  /** @internal Called before an entry is used. */
  _adopt(entry: LogEntry): void
  /** Whether the client may see an entry. */
  passes(entry: LogEntry): boolean
  /** @internal Called with the id of an event that was queued. */
  _onSent(id: string): void
  /** @internal Sends a position up to which the client has received everything. */
  _sendPosition(id: string): void
  /** @internal Sends such a position, unless the client is behind. */
  _offerPosition(id: string): void
  /** @internal Called at the store's position, when there are no further entries. */
  _goLive(): void
}
