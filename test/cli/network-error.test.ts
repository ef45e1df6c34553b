import { expect, test } from 'vitest'
import { describeNetworkError } from '../../src/cli/network-error.ts'

const url = new URL('https://example.org:8443/events')

test.each([
  ['CERT_HAS_EXPIRED', 'The certificate of example.org:8443 has expired. Use --insecure to accept it.'],
  [
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'The certificate of example.org:8443 is from an authority that this machine does not trust. Use --insecure to accept it.',
  ],
  [
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'The certificate of example.org:8443 is for another host. Use --insecure to accept it.',
  ],
  [
    'CERT_REVOKED',
    'The certificate of example.org:8443 is not valid: something. Use --insecure to accept it.',
  ],
  ['EHOSTUNREACH', 'The host example.org cannot be reached from this machine.'],
  ['constructor', 'The request to example.org:8443 failed: something'],
])('describes %s in one line', (code, line) => {
  expect(describeNetworkError(Object.assign(new Error('something'), { code }), url)).toBe(line)
})

test('describes an error of several addresses by the first', () => {
  const refused = Object.assign(new Error(''), { code: 'ECONNREFUSED' })
  expect(describeNetworkError(new AggregateError([refused, new Error('')]), url)).toBe(
    'example.org:8443 refused the connection. No server listens on this port.',
  )
})

test.each([undefined, null, 'text', {}, new Error('')])(
  'describes %o, which is no error of a network',
  (error) => {
    expect(describeNetworkError(error, url)).toMatch(/^The request to example\.org:8443 failed: \w+/)
  },
)

test('escapes control characters of a server', () => {
  expect(describeNetworkError(new Error('a\x1b[2J\nb'), url)).toBe(
    'The request to example.org:8443 failed: a\\u001b[2J\\nb',
  )
})
