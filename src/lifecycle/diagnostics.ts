import { diagnosticsChannel } from '../diagnostics.ts'
import type { StreamMessage } from '../stream/diagnostics.ts'
import type { StreamLimits } from './stream-limits.ts'

/** The message of `spillway:authorize:error`. */
export interface AuthorizeErrorMessage extends StreamMessage {
  /** What `authorize` threw, or an error for a wrong value or a timeout. */
  readonly error: unknown
}

/** The message of `spillway:limit:error`. */
export interface LimitErrorMessage extends StreamMessage {
  readonly limits: StreamLimits
  /** What the key function threw, or why its key or the counts cannot be used. */
  readonly error: unknown
}

export const authorizeErrorChannel = diagnosticsChannel<AuthorizeErrorMessage>('spillway:authorize:error')
export const limitErrorChannel = diagnosticsChannel<LimitErrorMessage>('spillway:limit:error')
