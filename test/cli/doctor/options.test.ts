import { expect, test } from 'vitest'
import { targetOf } from '../../../src/cli/doctor/options.ts'
import { UsageError } from '../../../src/cli/usage-error.ts'

test('the credentials of a URL are sent as a header', () => {
  const { url, headers } = targetOf('http://ada:a%25b@host/events', {})
  expect([url.href, headers.authorization]).toEqual([
    'http://host/events',
    `Basic ${Buffer.from('ada:a%b').toString('base64')}`,
  ])
})

test('credentials with an unencoded percent sign are a mistake in the command, and are not printed', () => {
  expect(() => targetOf('http://a%@host', {})).toThrow(
    new UsageError('The credentials of the URL must be percent-encoded, for example %25 for %.'),
  )
})
