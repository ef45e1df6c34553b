import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { freeze } from '../../src/stores/freeze.ts'

describe('freeze', () => {
  it('returns the value, with all plain objects and arrays in it frozen', () => {
    const value = {
      a: { b: [{ c: 1 }, []] },
      bare: Object.assign(Object.create(null), { d: {} }),
      text: 'x',
      no: null,
    }
    expect(freeze(value)).toBe(value)
    for (const each of [value, value.a, value.a.b, ...value.a.b, value.bare, value.bare.d])
      expect(Object.isFrozen(each)).toBe(true)
    for (const scalar of ['text', 7, null, undefined, true, 7n]) expect(freeze(scalar)).toBe(scalar)
  })

  it('leaves instances of classes and lists of bytes as they are', () => {
    class Money {}
    const value = {
      money: new Money(),
      at: new Date(0),
      map: new Map(),
      bytes: new Uint8Array(2),
      view: Buffer.from('a'),
    }
    freeze(value)
    for (const each of Object.values(value)) expect(Object.isFrozen(each)).toBe(false)
  })

  it('ends for a cycle, and for values as deep as JSON.parse returns them', () => {
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    expect(Object.isFrozen(freeze(cycle))).toBe(true)
    const depth = 50_000
    expect(freeze(JSON.parse(`${'[{"a":'.repeat(depth)}1${'}]'.repeat(depth)}`))).toBeInstanceOf(Array)
  })

  it('freezes the objects of another realm', () => {
    const value = runInNewContext('({ a: [{}] })')
    expect(Object.isFrozen(freeze(value).a[0])).toBe(true)
  })
})
