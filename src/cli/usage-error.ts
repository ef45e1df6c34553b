/** A wrong command line, or an unusable target. Its message is one line for the user. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly code = 'ERR_SSE_USAGE'
}
