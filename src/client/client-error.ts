/**
 * The codes of `SseClientError`, each with its cause in `docs/client.md`.
 *
 * - `ERR_SSE_STATUS`: the response has a status that is not a success.
 * - `ERR_SSE_FORMAT`: the body is neither an event stream nor the JSON of a long poll.
 * - `ERR_SSE_LENGTH`: an event or a page is longer than 16 MiB characters.
 * - `ERR_SSE_SILENT`: nothing arrived for too long.
 * - `ERR_SSE_OVERFLOW`: a loop of a shared connection is more than 10 000 events behind.
 */
export type SseClientErrorCode =
  | 'ERR_SSE_STATUS'
  | 'ERR_SSE_FORMAT'
  | 'ERR_SSE_LENGTH'
  | 'ERR_SSE_SILENT'
  | 'ERR_SSE_OVERFLOW'

/** The properties of an error beside its code. */
interface Details {
  /** Status of the response, if there was one. */
  readonly status?: number
  /** The first 2 000 characters of the response body, if there was one. */
  readonly body?: string
  /** The `Retry-After` of the response in ms, at most 10 minutes. */
  readonly retryAfter?: number
  /** Whether the connection is closed because of this error. */
  readonly isFinal?: boolean
}

/** An error that the client detects. Errors of `fetch`, of `url` and of `headers` are passed on unchanged. */
export interface SseClientError extends Error, Details {
  readonly code: SseClientErrorCode
}

/** Returns an error. */
export function clientError(code: SseClientErrorCode, message: string, details?: Details): SseClientError {
  return Object.assign(new Error(message), { code, ...details })
}
