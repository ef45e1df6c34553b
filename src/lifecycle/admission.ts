import type { MaybePromise } from '../event/source.ts'
import type { CloseReason } from '../stream/close-reason.ts'
import { type Refusal, refusalOf, refuseStream } from '../stream/refusal.ts'
import type { SseStream } from '../stream/stream.ts'

/** An admission check, for example a limit of streams. Determines whether a client gets a stream. */
export interface Admission {
  /** The close reason of a stream that is refused. */
  readonly reason: CloseReason
  /** Returns how a client is refused, or undefined if it gets the stream. MUST neither throw nor reject. */
  admit(stream: SseStream): MaybePromise<Refusal | undefined>
}

/**
 * Returns whether a stream passes all admissions, in their order. The first that refuses it responds. Rejects with the
 * error of an admission, and with `SseError` `ERR_SSE_OPTION` for a wrong refusal.
 */
export async function admitted(stream: SseStream, admissions: readonly Admission[]): Promise<boolean> {
  for (const admission of admissions) {
    const refusal = await admission.admit(stream)
    // Any other value than a refusal is an error, because `false` would otherwise admit all clients.
    if (refusal !== undefined) refuseStream(stream, refusalOf(refusal), admission.reason)
    if (stream.closed) return false
  }
  return true
}
