import { type Admission, admitted } from '../lifecycle/admission.ts'
import { Authorization, type AuthorizationSettings } from '../lifecycle/authorization.ts'
import type { Refusal } from '../stream/refusal.ts'
import type { SseStream } from '../stream/stream.ts'
import type { HandlerSettings } from './handler-options.ts'

/** Whether a route authorizes or limits its streams. */
export function isGuarded({ authorize, limits }: HandlerSettings): boolean {
  return authorize !== undefined || limits !== undefined
}

/**
 * Returns whether the client of a stream gets it: if `authorize` and the limits of its route admit it, and no shutdown
 * has begun meanwhile. `shutdownRefusal` returns how the client is refused if one has. `beginAdmitted` MUST follow.
 * Otherwise the stream is refused, and closed. Rejects with an error of the limits, which the framework responds with.
 */
export async function admit(
  stream: SseStream,
  settings: HandlerSettings,
  shutdownRefusal: () => Refusal | undefined,
): Promise<boolean> {
  const { authorize, limits = [] } = settings
  const admissions: Admission[] = [limits].flat()
  admissions.push({ reason: 'shutdown', admit: shutdownRefusal })
  if (authorize) {
    // A cache would serve the page to clients that `authorize` refuses.
    if (stream._pollCache) stream._pollCache.isPublic = false
    // Uses the settings of the route, because a copy for each stream would occupy memory.
    const authorization = new Authorization(stream, settings as HandlerSettings & AuthorizationSettings)
    admissions.unshift({ reason: 'unauthorized', admit: () => authorization._recheck() })
    admissions.push({ reason: 'unauthorized', admit: () => void authorization.start() })
  }
  const isAdmitted = await admitted(stream, admissions).catch((error) => {
    // The framework responds with the error.
    stream._connection.abandon()
    stream.destroy(error)
    throw error
  })
  stream._opened()
  if (isAdmitted) return true
  // `authorize` may have closed the stream itself. Without this call, its client would wait forever.
  stream._connection.unhold()
  stream._connection.begin()
  return false
}

/** Sends an admitted client the events that it has missed, and the events that were sent since. */
export function beginAdmitted(stream: SseStream): void {
  stream._startReplay()
  stream._connection.unhold()
}
