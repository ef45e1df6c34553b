import type { SseContext } from './register.ts'

/** The request of a stream, and the data of the application about its client. */
export interface Origin {
  readonly request?: unknown
  readonly context?: SseContext | undefined
  /** When the rights of the client expire. A number is a time in ms since 1970. */
  readonly expiresAt?: Date | number | undefined
  /** Whether the client may still be refused, so that the stream is not reported as open. */
  readonly isUndecided?: boolean
}
