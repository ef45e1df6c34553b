import { describe, expect, test } from 'vitest'
import { resolveStreamOptions } from '../../src/http/options.ts'

// In 2100, in ms.
const AT = 4_102_444_800_000
const settingsOf = (options: object) => resolveStreamOptions(options).settings

describe('the settings of streams', () => {
  test('are shared by streams with the same numbers, texts and booleans', () => {
    expect(settingsOf({ heartbeat: 5_000, compress: true })).toBe(
      settingsOf({ heartbeat: 5_000, compress: true }),
    )
    expect(settingsOf({ heartbeat: 5_001 })).toMatchObject({ heartbeat: 5_001, compress: false })
  })

  test('are shared by streams whose context and expiry differ', () => {
    const first = resolveStreamOptions({ context: { userId: 1 }, expiresAt: AT })
    const second = resolveStreamOptions({ context: { userId: 2 } })
    expect(first.settings).toBe(second.settings)
    expect([first.own, second.own]).toEqual([
      { context: { userId: 1 }, expiresAt: AT },
      { context: { userId: 2 }, expiresAt: undefined },
    ])
  })

  test('are not shared if an option is an object or a function', () => {
    const headers = { 'X-Shared': 'no' }
    expect(settingsOf({ headers })).not.toBe(settingsOf({ headers }))
    const serialize = () => ''
    expect(settingsOf({ serialize })).not.toBe(settingsOf({ serialize }))
  })

  test('stay correct with more combinations than the cache holds', () => {
    const heartbeats = Array.from({ length: 300 }, (_, i) => settingsOf({ heartbeat: i + 1 }).heartbeat)
    expect(heartbeats).toEqual(Array.from({ length: 300 }, (_, i) => i + 1))
  })
})

// The client ends a poll without a response after 60 s.
test('the hold of a long poll is at most 50 s', () => {
  expect(settingsOf({ longPoll: { hold: 50_000 } }).longPoll.hold).toBe(50_000)
  for (const hold of [999, 50_001, 2 ** 31 - 1])
    expect(() => settingsOf({ longPoll: { hold } })).toThrow('a whole number from 1000 to 50000')
})

test('the time in which a long poll collects events is at most 5 s', () => {
  expect(settingsOf({ longPoll: { collect: 5_000 } }).longPoll.collect).toBe(5_000)
  expect(() => settingsOf({ longPoll: { collect: 5_001 } })).toThrow('a whole number from 0 to 5000')
})
