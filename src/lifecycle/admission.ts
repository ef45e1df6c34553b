import type { MaybePromise } from '../event/source.ts'
import type { CloseReason } from '../stream/close-reason.ts'
import { type Refusal, refuseStream } from '../stream/refusal.ts'
import type { SseStream } from '../stream/stream.ts'

/** Decides whether a client gets a stream, for example a limit of streams. */
export interface Admission {
  /** The close reason of a stream that is refused. */
  readonly reason: CloseReason
  /** Returns how a client is refused, or undefined if it gets the stream. MUST neither throw nor reject. */
  admit(stream: SseStream): MaybePromise<Refusal | undefined>
}

/** Returns whether a stream passes all admissions, in their order. The first that refuses it responds. */
export async function admitted(stream: SseStream, admissions: readonly Admission[]): Promise<boolean> {
  for (const admission of admissions) {
    const refusal = await admission.admit(stream)
    if (refusal) refuseStream(stream, refusal, admission.reason)
    if (stream.closed) return false
  }
  return true
}
