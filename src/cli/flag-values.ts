import { validateHeaderName, validateHeaderValue } from 'node:http'
import { MAX_TIME } from '../check-options.ts'
import { nearMiss } from './near-miss.ts'
import { UsageError } from './usage-error.ts'

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Reads a time such as `18s`, `1.5s`, `18000ms`, `2m` or `1h`, and returns it in ms. */
export function readDuration(flag: string, text: string): number {
  const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text) ?? []
  if (digits === '') throw new UsageError(`${flag} ${quote(text)} is not a time such as 18s or 500ms.`)
  if (unit === '')
    throw new UsageError(`${flag} ${quote(text)} has no unit. Write ${digits}s or ${digits}ms.`)
  const factor = Object.hasOwn(UNITS, unit) ? UNITS[unit] : undefined
  if (factor === undefined)
    throw new UsageError(`${flag} ${quote(text)} has an unknown unit. The units are ms, s, m and h.`)
  const duration = Math.round(Number(digits) * factor)
  if (duration < 1) throw new UsageError(`${flag} ${quote(text)} is too short.`)
  if (duration > MAX_TIME)
    throw new UsageError(`${flag} ${quote(text)} is too long. The longest time is 596h.`)
  return duration
}

/** Reads a whole number, for example `10000` or `10_000`. */
export function readInteger(
  flag: string,
  text: string,
  { min = 0, max = Number.MAX_SAFE_INTEGER } = {},
): number {
  const value = /^\d[\d_]*$/.test(text) ? Number(text.replaceAll('_', '')) : Number.NaN
  if (Number.isNaN(value)) throw new UsageError(`${flag} ${quote(text)} is not a whole number.`)
  if (value < min) throw new UsageError(`${flag} ${quote(text)} is too small. The least value is ${min}.`)
  if (value > max) throw new UsageError(`${flag} ${quote(text)} is too large. The largest value is ${max}.`)
  return value
}

/** Reads a rate such as `10/s` or `600/m`, and returns it per second. */
export function readRate(flag: string, text: string): number {
  const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)\/(s|m)$/.exec(text) ?? []
  if (digits === '') throw new UsageError(`${flag} ${quote(text)} is not a rate such as 10/s or 600/m.`)
  return unit === 's' ? Number(digits) : Number(digits) / 60
}

/** Reads a share such as `5%`. Returns a number between 0 and 1. */
export function readPercentage(flag: string, text: string): number {
  const [, digits = ''] = /^(\d+(?:\.\d+)?)%$/.exec(text) ?? []
  if (digits === '' || Number(digits) > 100)
    throw new UsageError(`${flag} ${quote(text)} is not a percentage such as 5%.`)
  return Number(digits) / 100
}

/** Reads one of several words. */
export function readChoice<const Choice extends string>(
  flag: string,
  text: string,
  choices: readonly Choice[],
): Choice {
  const choice = choices.find((each) => each === text)
  if (choice !== undefined) return choice
  const near = nearMiss(text, choices)
  const hint = near ? `Did you mean ${near}?` : `The values are ${choices.join(', ')}.`
  throw new UsageError(`${flag} ${quote(text)} is not a value of this flag. ${hint}`)
}

/** Reads request headers such as `Authorization: Bearer x`. Names are in lower case, values of one name are joined. */
export function readHeaders(flag: string, texts: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const text of texts) {
    const [name, value] = readHeader(flag, text)
    const before = Object.hasOwn(headers, name) ? headers[name] : undefined
    headers[name] = before === undefined ? value : `${before}${name === 'cookie' ? '; ' : ', '}${value}`
  }
  return headers
}

function readHeader(flag: string, text: string): [name: string, value: string] {
  const colon = text.indexOf(':')
  if (colon < 1) throw new UsageError(`${flag} ${quote(text)} is not a header such as 'Name: value'.`)
  const name = text.slice(0, colon).trim().toLowerCase()
  const value = text.slice(colon + 1).trim()
  try {
    validateHeaderName(name)
  } catch {
    throw new UsageError(`${flag} ${quote(name)} is not the name of a header.`)
  }
  checkHeaderValue(flag, name, value)
  return [name, value]
}

/** Throws `UsageError` if a header cannot have the value. */
export function checkHeaderValue(flag: string, name: string, value: string): void {
  try {
    validateHeaderValue(name, value)
  } catch {
    throw new UsageError(`${flag} has a character that a header cannot have.`)
  }
}

/** Returns a text as an error shows it. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text)
}
