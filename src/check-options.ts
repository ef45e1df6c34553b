import { describe, mustBe, SseError } from './errors.ts'

/** The longest delay of a Node.js timer, in ms: about 25 days. */
export const MAX_TIME = 2 ** 31 - 1

/** The largest count of events or bytes. */
export const MAX_COUNT = Number.MAX_SAFE_INTEGER

/** Returns what an option must be if its value is invalid, otherwise undefined. `path` is the name of the option. */
export type Check = (value: unknown, path?: string) => string | undefined

/** Options with their defaults. Each has a value, except that an option named in `Unset` may be undefined. */
export type SettingsOf<Options, Unset extends keyof Options = never> = {
  readonly [Name in Exclude<keyof Options, Unset>]-?: Exclude<Options[Name], undefined>
} & { readonly [Name in Unset]?: Options[Name] }

/** Advice for option names that are unknown here, for example because they belong to another object. */
export type Hints = Readonly<Record<string, string>>

/**
 * Returns the options that have a value. Throws `SseError` `ERR_SSE_OPTION` for an unknown option or an invalid value.
 * `prefix` is the path of nested options in the message, for example `perChannel.`.
 */
export function checkOptions<Options extends object>(
  options: Options,
  checks: Readonly<Record<string, Check>>,
  hints?: Hints,
  prefix = '',
): Partial<SettingsOf<Options>> {
  if (!isPlain(options)) mustBe('a plain object', 'ERR_SSE_OPTION', 'Options', options)
  const given = Object.entries(options).filter(([name, value]) => {
    if (!Object.hasOwn(checks, name)) throw unknownOption(name, Object.keys(checks), hints, prefix)
    if (value !== undefined) checkValue(prefix + name, value, checks[name] as Check)
    return value !== undefined
  })
  return Object.fromEntries(given) as Partial<SettingsOf<Options>>
}

/** Throws `SseError` `ERR_SSE_OPTION` for an invalid value, also if it is undefined. */
export function checkValue(name: string, value: unknown, check: Check): void {
  const expected = check(value, name)
  if (expected) mustBe(expected, 'ERR_SSE_OPTION', `Option ${name}`, value)
}

/**
 * Returns the result of a function that decides. Throws `SseError` `ERR_SSE_OPTION` for any other value than true or
 * false. For example, a promise is truthy, so that an `async` function would select everything.
 */
export function decided(what: string, result: unknown): boolean {
  if (typeof result === 'boolean') return result
  // The rejection of an asynchronous function would end the process.
  Promise.resolve(result).catch(() => {})
  const message = `${what} must synchronously return true or false, not ${describe(result)}.`
  throw new SseError('ERR_SSE_OPTION', message)
}

/**
 * True if the own properties of an object are its content, whatever its class and realm. False for an array, a `Map`,
 * an `Error` or a promise, because their content would be ignored.
 */
export function isPlain(value: unknown): value is object {
  return /t (Ob|Mo)/.test({}.toString.call(value))
}

/** Returns a check for an option that itself has options, of which one may be required. */
export function optionsOf(checks: Readonly<Record<string, Check>>, required?: string): Check {
  const expected = required ? `an object with ${required}` : 'an object'
  return (value, path) => {
    if (!isPlain(value)) return expected
    const given = checkOptions(value, checks, {}, `${path}.`)
    return !required || required in given ? undefined : expected
  }
}

function unknownOption(name: string, known: readonly string[], hints: Hints = {}, prefix = ''): SseError {
  // Four letters are enough for `heartbeatInterval`, `graceMs` and most typing errors.
  const meant = name && known.find((each) => each.startsWith(name.slice(0, 4)))
  const guess = meant ? ` Did you mean ${meant}?` : ''
  const hint = Object.hasOwn(hints, name) ? ` ${hints[name]}` : guess
  const message = `Unknown option ${describe(prefix + name)}.${hint} Known options: ${known.join(', ')}.`
  return new SseError('ERR_SSE_OPTION', message)
}

export function between(min: number, max: number): Check {
  return (value) => (isWhole(value, min, max) ? undefined : `a whole number from ${min} to ${max}`)
}

export function oneOf(...names: ReadonlyArray<string | boolean>): Check {
  return (value) => (names.includes(value as string) ? undefined : `one of ${names.join(', ')}`)
}

/** Checks a time in ms, which may be 0. */
export const isTime = between(0, MAX_TIME)

/** Checks a number of events or bytes. */
export const isCount = between(1, MAX_COUNT)

export const isFunction: Check = (value) => (typeof value === 'function' ? undefined : 'a function')

export const isString: Check = (value) => (typeof value === 'string' ? undefined : 'a string')

/**
 * Checks that text has no halves of surrogate pairs. A store that encodes text as UTF-8 cannot distinguish them,
 * because each becomes U+FFFD.
 */
export const isWellFormed: Check = (value) =>
  typeof value === 'string' && !/[\ud800-\udfff]/u.test(value)
    ? undefined
    : 'a string without halves of surrogate pairs'

export const isBoolean: Check = (value) => (typeof value === 'boolean' ? undefined : 'true or false')

/** True if a value is an integer from `min` to `max`. */
export function isWhole(value: unknown, min: number, max: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
}
