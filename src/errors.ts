/** The codes of `SseError`. Each has a heading in `docs/errors.md`. */
export type SseErrorCode =
  | 'ERR_SSE_AUTHORIZE'
  | 'ERR_SSE_CHANNEL'
  | 'ERR_SSE_DATA'
  | 'ERR_SSE_EVENT'
  | 'ERR_SSE_EVENT_NAME'
  | 'ERR_SSE_HANDLER'
  | 'ERR_SSE_HEADERS_SENT'
  | 'ERR_SSE_ID'
  | 'ERR_SSE_LIMIT'
  | 'ERR_SSE_OPTION'
  | 'ERR_SSE_OVERLOAD'
  | 'ERR_SSE_REPLAY_LIMIT'
  | 'ERR_SSE_REQUEST'
  | 'ERR_SSE_RESPONSE'
  | 'ERR_SSE_RETRY'
  | 'ERR_SSE_RUN_ENDED'
  | 'ERR_SSE_RUN_ID'
  | 'ERR_SSE_SHUT_DOWN'
  | 'ERR_SSE_SOURCE'
  | 'ERR_SSE_STORE'
  | 'ERR_SSE_STREAM'
  | 'ERR_SSE_UPSTREAM'

/**
 * Thrown for a mistake in the program, or for the failure of a broker or an upstream, never because of a client.
 * Compare `code` instead of using `instanceof`, because a program that loads both the ES module and the CommonJS build
 * has two classes.
 */
export class SseError extends Error {
  override readonly name = 'SseError'
  readonly code: SseErrorCode

  constructor(code: SseErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Throws an `SseError` about a value, for example `id must be a number, not an object.` */
export function mustBe(expected: string, code: SseErrorCode, what: string, value: unknown): never {
  throw new SseError(code, `${what} must be ${expected}, not ${describe(value)}.`)
}

/** Returns an error as it is printed, for example `ERR_SSE_STORE: The broker is lost.` */
export function describeError(error: unknown): string {
  return error instanceof Error
    ? `${(error as Partial<SseError>).code ?? error.name}: ${error.message}`
    : describe(error)
}

/** Returns a short, printable description of a value for an error message. Never throws. */
export function describe(value: unknown): string {
  // The URL of a broker may contain a password.
  if (typeof value === 'string' && /^\w+:\/\//.test(value)) return 'a URL'
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'bigint') return `${value}n`
  return value === Object(value) ? describeObject(value as object) : String(value)
}

// A promise as a value is a missing `await`. The name of a class is read from the prototype, because the properties of
// the object may come from a client. Names of one or two characters are minified.
function describeObject(value: { then?: unknown }): string {
  try {
    if (typeof value.then === 'function') return 'a promise'
    if (value instanceof Date && Number.isNaN(+value)) return 'an invalid Date'
    const { name } = Object.getPrototypeOf(value).constructor
    if (/^(?!Object$)[A-Z]\w{2,29}$/.test(name)) return `a${/^[AEIO]/.test(name) ? 'n' : ''} ${name}`
  } catch {}
  return 'an object'
}
