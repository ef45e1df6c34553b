import type { AnyEvents, EventMap, SseEvent } from '../event/event.ts'
import type { MaybePromise, Source } from '../event/source.ts'
import { gapChannel } from './diagnostics.ts'
import type { SseStream } from './stream.ts'

/** A gap in the events of a client, which has missed some or may have missed some. */
export interface Gap {
  /**
   * The last event id of the client. Undefined if it cannot be an id. It is untrusted input, which a hook MUST check
   * before use.
   */
  readonly lastEventId: string | undefined
  /**
   * `unknown`: the id is not in the store, or not any more. `unreadable`: the value cannot be an id. `evicted`: the
   * beginning of a channel, from which the client was to start, is not in the store any more.
   */
  readonly reason: 'unknown' | 'unreadable' | 'evicted'
}

/**
 * Called for a gap. It MAY return events, for example a snapshot. These are sent first, instead of the gap event.
 * Events sent live meanwhile follow the snapshot, whether it contains them or not.
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
  /** The id after which the client continues. */
  readonly id?: string
  /** Resolves with false if the client has disconnected. */
  sendAll(snapshot: Source): Promise<boolean>
  send(event: SseEvent): Promise<unknown>
}

/**
 * Reports a gap to the client by the snapshots of the hooks, otherwise by the gap event. Resolves with true if the gap
 * event was sent, so that its id is the last event id of the client.
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
