import { describe, SseError } from './errors.ts'

/** The longest delay a timer of Node holds, in ms, and far beyond any use. */
export const MAX_TIME = 2 ** 31 - 1

/** Says what an option must be, when it is not. */
export type Check = (value: unknown) => string | undefined

/** Throws `SseError` `ERR_SSE_OPTION` for an option that there is not, or that is not what it must be. */
export function checkOptions(options: unknown, checks: Readonly<Record<string, Check>>): void {
  if (options === undefined) return
  if (!isPlain(options)) fail(`Options are an object, not ${describe(options)}.`)
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (!check) fail(`There is no option ${describe(name)}. There are: ${Object.keys(checks).join(', ')}.`)
    const expected = value === undefined ? undefined : check(value)
    if (expected) fail(`Option ${name} must be ${expected}, not ${describe(value)}.`)
  }
}

/** Checked options over their defaults; undefined is the default. */
export function withDefaults<T extends object>(options: object | undefined, defaults: T): T {
  const given = Object.entries(options ?? {}).filter(([, value]) => value !== undefined)
  return { ...defaults, ...Object.fromEntries(given) }
}

/** Whether it has names and values of its own. A list, a map or a `Headers` has none: it would be ignored in silence. */
export function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !(Symbol.iterator in value)
}

/** For an option that has options itself. `demand` says what it must be. */
export function optionsOf(checks: Readonly<Record<string, Check>>, expected = 'an object'): Check {
  return (value) => (isPlain(value) ? void checkOptions(value, checks) : expected)
}

function fail(message: string): never {
  throw new SseError('ERR_SSE_OPTION', message)
}

export function between(min: number, max: number): Check {
  return (value) => (isWhole(value, min, max) ? undefined : `a whole number from ${min} to ${max}`)
}

export function oneOf(...names: readonly string[]): Check {
  return (value) => (names.includes(value as string) ? undefined : `one of ${names.join(', ')}`)
}

export const isFunction: Check = (value) => (typeof value === 'function' ? undefined : 'a function')

export const isString: Check = (value) => (typeof value === 'string' ? undefined : 'a string')

export const isBoolean: Check = (value) => (typeof value === 'boolean' ? undefined : 'true or false')

/** Whether a value is a whole number within bounds. */
export function isWhole(value: unknown, min: number, max: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
}
