import { gapChannel } from '../diagnostics.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import type { MaybePromise, Source } from '../event/source.ts'
import type { SseStream } from './stream.ts'

/** Events were lost for a client, or it cannot be told whether any were. */
export interface Gap {
  /** Where the client stopped. Undefined when what it sent cannot be an id. A client's input: check it before use. */
  readonly lastEventId: string | undefined
  /** `unknown`: the replay does not reach back to the id. `unreadable`: what the client sent is no id. */
  readonly reason: 'unknown' | 'unreadable'
}

/**
 * May return events, a snapshot say, that are sent in place of the gap event, before anything else. What is sent live
 * while the snapshot is taken follows it, whether the snapshot holds it or not.
 */
export type OnGap<Events extends EventMap = AnyEvents> = (
  gap: Gap,
  stream: SseStream<Events>,
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook that only takes note returns nothing.
) => MaybePromise<Source<Events> | undefined | void>

/**
 * Asks hooks for snapshots and sends them, until `send` says that the client has left. Resolves with whether there was
 * any: without one, the client is still to be told.
 */
export async function sendSnapshots(
  gap: Gap,
  stream: SseStream,
  hooks: Iterable<OnGap | undefined>,
  send: (snapshot: Source) => Promise<boolean>,
): Promise<boolean> {
  if (gapChannel.hasSubscribers) gapChannel.publish({ stream, gap })
  let hasSnapshot = false
  for (const onGap of hooks) {
    const snapshot = await onGap?.(gap, stream)
    if (!snapshot) continue
    hasSnapshot = true
    if (!(await send(snapshot))) break
  }
  return hasSnapshot
}
