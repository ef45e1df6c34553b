import { expect, test } from 'vitest'
import { type Address, checkAddresses, isLocal } from '../../../src/cli/load/address.ts'

const LOCAL: Address = { address: '127.0.0.1', family: 4 }
const FOREIGN: Address = { address: '192.0.2.7', family: 4 }

test.each([
  ['127.0.0.1', 4, true],
  ['127.8.9.1', 4, true],
  ['0.0.0.0', 4, true],
  ['::1', 6, true],
  ['::', 6, true],
  ['::ffff:127.0.0.1', 6, true],
  ['::ffff:192.0.2.7', 6, false],
  ['128.0.0.1', 4, false],
  ['10.0.0.1', 4, false],
  ['192.168.1.1', 4, false],
  ['fe80::1%lo', 6, false],
  ['2001:db8::1', 6, false],
] as const)('the address %s of IPv%d is local: %s', (address, family, expected) => {
  expect(isLocal({ address, family })).toBe(expected)
})

test('rejects a host if one of several addresses is not the local machine', async () => {
  const url = new URL('http://service.test:8080/events')
  await expect(checkAddresses(url, false, async () => [LOCAL, FOREIGN])).rejects.toThrow(
    'service.test:8080 (192.0.2.7) is not this machine. Add --i-own-this-server if you may put load on that server.',
  )
})

test('rejects an address that is not the local machine without looking it up', async () => {
  const resolve = async () => {
    throw new Error('An address was looked up.')
  }
  await expect(checkAddresses(new URL('http://192.0.2.7/'), false, resolve)).rejects.toThrow(
    '192.0.2.7 is not',
  )
  await expect(checkAddresses(new URL('http://[2001:db8::1]/'), false, resolve)).rejects.toThrow(
    'is not this',
  )
  await expect(checkAddresses(new URL('http://[::1]:3000/'), false, resolve)).resolves.toEqual([
    { address: '::1', family: 6 },
  ])
  // The URL parser normalizes other spellings of an address.
  await expect(checkAddresses(new URL('http://2130706433/'), false, resolve)).resolves.toEqual([LOCAL])
})

test('accepts other machines with the permission', async () => {
  const url = new URL('http://service.test/')
  await expect(checkAddresses(url, true, async () => [FOREIGN])).resolves.toEqual([FOREIGN])
})

test('reports an unknown host as a usage error', async () => {
  const failed = async () => {
    throw Object.assign(new Error('getaddrinfo ENOTFOUND nowhere.test'), { code: 'ENOTFOUND' })
  }
  await expect(checkAddresses(new URL('http://nowhere.test/'), false, failed)).rejects.toMatchObject({
    name: 'UsageError',
    message: 'The host nowhere.test is unknown.',
  })
})
