import fc from 'fast-check'
import vary from 'vary'
import { describe, expect, it } from 'vitest'
import { varyOn, varyOnAccept } from '../../src/http/vary.ts'

describe('varyOnAccept (rule 18)', () => {
  it.each([
    [undefined, 'Accept'],
    ['', 'Accept'],
    ['Origin', 'Origin, Accept'],
    ['origin , ACCEPT', 'origin , ACCEPT'],
    ['Accept-Encoding', 'Accept-Encoding, Accept'],
    ['*', '*'],
    [['Origin', 'Cookie'], 'Origin,Cookie, Accept'],
  ])('makes %j %j', (header, expected) => {
    expect(varyOnAccept(header)).toBe(expected)
  })

  it('adds the field as the vary package does', () => {
    const field = fc.constantFrom('Origin', 'accept', 'Accept', 'Accept-Encoding', 'Cookie', '')
    const header = fc.array(field).map((fields) => fields.join(', '))
    fc.assert(
      fc.property(header, (value) => {
        expect(varyOnAccept(value)).toBe(vary.append(value, 'Accept'))
      }),
    )
  })
})

describe('varyOn', () => {
  it.each([
    [undefined, 'Accept-Encoding'],
    ['Accept', 'Accept, Accept-Encoding'],
    ['Origin, accept-encoding', 'Origin, accept-encoding'],
    ['*', '*'],
  ])('makes %j %j with Accept-Encoding', (header, expected) => {
    expect(varyOn(header, 'Accept-Encoding')).toBe(expected)
  })
})
