import type { EventStore } from '../stores/event-store.ts'
import type { EntryOwner } from '../stores/log-entry.ts'
import type { ResumePoint } from '../stream/resume-point.ts'
import type { SseStream } from '../stream/stream.ts'
import type { Broadcaster } from './broadcaster.ts'
import type { ErrorReporter } from './error-reporter.ts'
import type { PositionKeeper } from './positions.ts'

/** The parts of a hub that its subscriptions use. */
export interface HubContext {
  readonly store: EventStore
  readonly broadcaster: Broadcaster
  readonly positions: PositionKeeper
  readonly errors: ErrorReporter
  readonly owner: EntryOwner
  readonly gapEvent: string | false
  /** Called at the end of a subscription, with its channels and the point where another one of the stream resumes. */
  onUnsubscribed(stream: SseStream, channels: readonly string[], resumePoint: ResumePoint): void
}
