import type { AnyEvents, EventMap, SseEvent } from '../event/event.ts'
import type { MaybePromise, Source } from '../event/source.ts'
import { gapChannel } from './diagnostics.ts'
import type { SseStream } from './stream.ts'

/** A client has missed events, or it is unknown whether it has. */
export interface Gap {
  /** The last event id of the client. Undefined if it cannot be an id. It is untrusted input: check it before use. */
  readonly lastEventId: string | undefined
  /**
   * `unknown`: the id is not in the store, or not any more. `unreadable`: the value cannot be an id. `evicted`: the
   * beginning of a channel, from which the client was to start, is not in the store any more.
   */
  readonly reason: 'unknown' | 'unreadable' | 'evicted'
}

/**
 * Is called for a gap. It may return events, for example a snapshot, which are sent instead of the gap event, before
 * anything else. Events sent live meanwhile follow the snapshot, whether it contains them or not.
 */
export type OnGap<Events extends EventMap = AnyEvents> = (
  gap: Gap,
  stream: SseStream<Events>,
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook that only takes note returns nothing.
) => MaybePromise<Source<Events> | undefined | void>

/** How a gap is reported. */
export interface GapReport {
  readonly hooks: Iterable<OnGap | undefined>
  /** The name of the gap event, or false. */
  readonly gapEvent: string | false
  /** The id from which the client continues. */
  readonly id?: string
  /** Resolves with false if the client has disconnected. */
  sendAll(snapshot: Source): Promise<boolean>
  send(event: SseEvent): Promise<unknown>
}

/**
 * Reports a gap to the client: by the snapshots of the hooks, otherwise by the gap event. Resolves with true if the event
 * was sent, whose id is then that of the client.
 */
export async function reportGap(stream: SseStream, gap: Gap, report: GapReport): Promise<boolean> {
  const { hooks, gapEvent, id, sendAll, send } = report
  if (gapChannel.hasSubscribers) gapChannel.publish({ stream, gap })
  let hasSnapshot = false
  for (const onGap of hooks) {
    const snapshot = await onGap?.(gap, stream)
    if (!snapshot) continue
    hasSnapshot = true
    if (!(await sendAll(snapshot))) return false
  }
  if (hasSnapshot || !gapEvent) return false
  await send({ event: gapEvent, id, data: { reason: gap.reason } })
  return true
}
