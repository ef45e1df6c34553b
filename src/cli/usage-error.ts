/** A wrong command line, or a target that cannot be used. Its message is one line for the user. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
