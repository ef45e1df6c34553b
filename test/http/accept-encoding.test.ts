import fc from 'fast-check'
import Negotiator from 'negotiator'
import { describe, expect, it } from 'vitest'
import { chooseEncoding } from '../../src/http/accept-encoding.ts'

const SUPPORTED = ['gzip', 'zstd', 'br']

describe('chooseEncoding', () => {
  it.each([
    ['gzip', 'gzip'],
    ['br', 'br'],
    ['zstd', 'zstd'],
    // Chromium and Firefox
    ['gzip, deflate, br, zstd', 'gzip'],
    ['br, zstd', 'zstd'],
    ['GZip;Q=0.2, BR ; q = 0.8', 'br'],
    ['x-gzip', 'gzip'],
    ['*', 'gzip'],
    ['gzip;q=0, *', 'zstd'],
    ['*;q=0.5, br', 'br'],
    ['*;q=0, gzip;q=0.001', 'gzip'],
    ['identity, gzip', 'gzip'],
    ['identity;q=0.5, gzip;q=1.000', 'gzip'],
    ['identity;q=0, br;q=0.1', 'br'],
  ])('chooses for %s the encoding %s', (header, encoding) => {
    expect(chooseEncoding(header, SUPPORTED)).toBe(encoding)
  })

  it.each([
    undefined,
    null,
    '',
    'deflate',
    'identity',
    'gzip;q=0',
    'gzip;q=0.000, br;q=0',
    '*;q=0',
    'identity, gzip;q=0.5',
    'gzip;q=high',
    'gzip;q=-1',
    'gzip;q=2',
    'gzip;q=',
    'gzipped, xbr',
  ])('chooses none for %s', (header) => {
    expect(chooseEncoding(header, SUPPORTED)).toBeUndefined()
  })

  it('chooses none if the runtime supports none', () => {
    expect(chooseEncoding('gzip, br', [])).toBeUndefined()
  })

  it('chooses only what negotiator accepts, and none only if negotiator prefers none', () => {
    const name = fc.constantFrom('gzip', 'br', 'zstd', 'deflate', 'identity', '*')
    const weight = fc.constantFrom('', ';q=0', ';q=0.3', '; q=0.7', ';q=1')
    const header = fc.uniqueArray(fc.tuple(name, weight), { selector: ([first]) => first })
    fc.assert(
      fc.property(header, (items) => {
        const value = items.map((item) => item.join('')).join(', ')
        const chosen = chooseEncoding(value, SUPPORTED)
        const negotiator = new Negotiator({ headers: { 'accept-encoding': value } })
        if (chosen) expect(negotiator.encodings(SUPPORTED)).toContain(chosen)
        else expect(['identity', undefined]).toContain(negotiator.encodings([...SUPPORTED, 'identity'])[0])
      }),
    )
  })

  it('never throws for any input (rule 24)', () => {
    fc.assert(
      fc.property(fc.string(), (header) =>
        [...SUPPORTED, undefined].includes(chooseEncoding(header, SUPPORTED)),
      ),
    )
  })
})
