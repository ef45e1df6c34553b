import { type Admission, admitted } from '../lifecycle/admission.ts'
import { Authorization, type AuthorizationSettings } from '../lifecycle/authorization.ts'
import type { Refusal } from '../stream/refusal.ts'
import type { SseStream } from '../stream/stream.ts'
import type { HandlerSettings } from './handler-options.ts'

/** Whether a route decides who gets its streams. */
export function isGuarded({ authorize, limits }: HandlerSettings): boolean {
  return authorize !== undefined || limits !== undefined
}

/**
 * Returns whether the client of a stream gets it: if `authorize` and the limits of its route admit it, and no shutdown has
 * begun meanwhile. `shutdownRetry` returns the retry of a refusal in ms if one has. `beginAdmitted` MUST follow. Otherwise
 * the stream is refused, and closed. Never rejects.
 */
export async function admit(
  stream: SseStream,
  settings: HandlerSettings,
  shutdownRetry: () => number | undefined,
): Promise<boolean> {
  const { authorize, limits = [] } = settings
  const admissions: Admission[] = [limits].flat()
  admissions.push({ reason: 'shutdown', admit: () => refusalAfter(shutdownRetry()) })
  if (authorize) {
    // A cache would send the page to clients that `authorize` refuses.
    if (stream._pollCache) stream._pollCache.isPublic = false
    // The settings of the route, not a copy for each stream.
    const authorization = new Authorization(stream, settings as HandlerSettings & AuthorizationSettings)
    admissions.unshift({ reason: 'unauthorized', admit: () => authorization.check() })
    admissions.push({ reason: 'unauthorized', admit: () => void authorization.start() })
  }
  const isAdmitted = await admitted(stream, admissions)
  stream._opened()
  if (isAdmitted) return true
  // `authorize` may have closed the stream itself. Otherwise its client would wait forever.
  stream._connection.unhold()
  stream._connection.begin()
  return false
}

/** Sends an admitted client what it has missed, and what was sent since. */
export function beginAdmitted(stream: SseStream): void {
  void stream._startReplay()
  stream._connection.unhold()
}

function refusalAfter(retry: number | undefined): Refusal | undefined {
  return retry === undefined ? undefined : { retry }
}
