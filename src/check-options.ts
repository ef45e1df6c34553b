import { describe, SseError } from './errors.ts'

/** The longest delay of a Node.js timer, in ms: about 25 days. */
export const MAX_TIME = 2 ** 31 - 1

/** The largest count of events or bytes. */
export const MAX_COUNT = Number.MAX_SAFE_INTEGER

/** Returns what an option must be if its value is invalid, otherwise undefined. */
export type Check = (value: unknown) => string | undefined

/** Advice for option names that are unknown here, for example because they belong to another object. */
export type Hints = Readonly<Record<string, string>>

/** Throws `SseError` `ERR_SSE_OPTION` for an unknown option or an invalid value. */
export function checkOptions(options: unknown, checks: Readonly<Record<string, Check>>, hints?: Hints): void {
  if (options === undefined) return
  if (!isPlain(options)) fail(`Options must be a plain object, not ${describe(options)}.`)
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (!check) fail(unknownOption(name, Object.keys(checks), hints))
    const expected = value === undefined ? undefined : check(value)
    if (expected) fail(`Option ${name} must be ${expected}, not ${describe(value)}.`)
  }
}

/** Returns the options with defaults for those that are missing or undefined. */
export function withDefaults<T extends object>(options: object | undefined, defaults: T): T {
  const given = Object.entries(options ?? {}).filter(([, value]) => value !== undefined)
  return { ...defaults, ...Object.fromEntries(given) }
}

/**
 * True if a value is an object whose own properties are its content, of any class and realm. That of an array, a `Map`, an
 * `Error` or a promise would be ignored.
 */
export function isPlain(value: unknown): value is object {
  return /t (Ob|Mo)/.test({}.toString.call(value))
}

/** Returns a check for an option that itself has options. `expected` describes the option. */
export function optionsOf(checks: Readonly<Record<string, Check>>, expected = 'an object'): Check {
  return (value) => (isPlain(value) ? void checkOptions(value, checks) : expected)
}

function fail(message: string): never {
  throw new SseError('ERR_SSE_OPTION', message)
}

function unknownOption(name: string, known: readonly string[], hints: Hints = {}): string {
  // Four letters are enough for `heartbeatInterval`, `graceMs` and most typing errors.
  const meant = name && known.find((each) => each.startsWith(name.slice(0, 4)))
  const guess = meant ? ` Did you mean ${meant}?` : ''
  const hint = Object.hasOwn(hints, name) ? ` ${hints[name]}` : guess
  return `Unknown option ${describe(name)}.${hint} Known options: ${known.join(', ')}.`
}

export function between(min: number, max: number): Check {
  return (value) => (isWhole(value, min, max) ? undefined : `a whole number from ${min} to ${max}`)
}

export function oneOf(...names: ReadonlyArray<string | boolean>): Check {
  return (value) => (names.includes(value as string) ? undefined : `one of ${names.join(', ')}`)
}

export const isFunction: Check = (value) => (typeof value === 'function' ? undefined : 'a function')

export const isString: Check = (value) => (typeof value === 'string' ? undefined : 'a string')

/** A store that encodes text as UTF-8 cannot distinguish halves of surrogate pairs, because each becomes U+FFFD. */
export const isWellFormed: Check = (value) =>
  typeof value === 'string' && !/[\ud800-\udfff]/u.test(value)
    ? undefined
    : 'a string without halves of surrogate pairs'

export const isBoolean: Check = (value) => (typeof value === 'boolean' ? undefined : 'true or false')

/** True if a value is an integer from `min` to `max`. */
export function isWhole(value: unknown, min: number, max: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
}
