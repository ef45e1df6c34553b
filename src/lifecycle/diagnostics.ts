import { diagnosticsChannel } from '../diagnostics.ts'
import type { StreamMessage } from '../stream/diagnostics.ts'
import type { StreamLimits } from './stream-limits.ts'

/** The message of `spillway:authorize:error`. */
export interface AuthorizeErrorMessage extends StreamMessage {
  /** The error that `authorize` threw, or one about a wrong value or a timeout. */
  readonly error: unknown
}

/** The message of `spillway:limit:error`. */
export interface LimitErrorMessage extends StreamMessage {
  readonly limits: StreamLimits
  /** The error that the key function threw, or one about its key or about the counts. */
  readonly error: unknown
}

export const authorizeErrorChannel = diagnosticsChannel<AuthorizeErrorMessage>('spillway:authorize:error')
export const limitErrorChannel = diagnosticsChannel<LimitErrorMessage>('spillway:limit:error')
