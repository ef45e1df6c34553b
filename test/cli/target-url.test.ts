import { describe, expect, test } from 'vitest'
import { readTargetUrl } from '../../src/cli/target-url.ts'
import { UsageError } from '../../src/cli/usage-error.ts'

const USAGE = 'npx spillway doctor <url>'

describe('readTargetUrl', () => {
  test.each([
    ['http://localhost:3000/events?a=1#part', 'http://localhost:3000/events?a=1'],
    ['HTTPS://Example.org', 'https://example.org/'],
    ['http://[::1]:80/', 'http://[::1]/'],
  ])('reads %s', (text, href) => {
    expect(readTargetUrl(text, USAGE).href).toBe(href)
  })

  test.each([
    [undefined, 'No URL was given. Usage: npx spillway doctor <url>'],
    ['', 'No URL was given. Usage: npx spillway doctor <url>'],
    ['localhost:3000/events', '"localhost:3000/events" has no protocol. Write http://localhost:3000/events'],
    ['example.org/a', '"example.org/a" has no protocol. Write https://example.org/a'],
    ['/events', '"/events" is not a URL. It must begin with http:// or https://.'],
    ['not a url', '"not a url" is not a URL. It must begin with http:// or https://.'],
    ['http://', '"http://" is not a URL.'],
    ['http://a:99999/', '"http://a:99999/" is not a URL.'],
    ['htps://a/', 'The protocol htps:// is not supported. Did you mean https://?'],
    ['ftp://a/', 'The protocol ftp:// is not supported. The URL must begin with http:// or https://.'],
    ['ws://a/', '"ws://a/" is a WebSocket. Event streams have a URL that begins with http:// or https://.'],
  ])('rejects %j', (text, message) => {
    expect(() => readTargetUrl(text, USAGE)).toThrow(new UsageError(message))
  })

  test('rejects a user name without printing the password', () => {
    const read = () => readTargetUrl('https://ada:secret@example.org/', USAGE)
    expect(read).toThrow(UsageError)
    expect(read).toThrow(/^(?!.*secret).*Authorization/)
  })
})
