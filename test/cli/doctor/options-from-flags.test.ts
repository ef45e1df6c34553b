import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readInvocation } from '../../../src/cli/doctor/options-from-flags.ts'
import { UsageError } from '../../../src/cli/usage-error.ts'

const URL_ARG = 'http://localhost:3000/events'
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'spillway-doctor-'))
  writeFileSync(join(folder, 'body.json'), '{"a":"é"}')
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('the command line of the doctor', () => {
  test('has defaults', async () => {
    const { options, ...rest } = (await readInvocation([URL_ARG])) as never as { options: object }
    expect(rest).toEqual({ url: new URL(URL_ARG), directUrl: undefined, isJson: false, failOn: 'problem' })
    expect(options).toEqual({ headers: {}, insecure: false })
  })

  test('has a value for each option', async () => {
    const args = [
      ...['--header', 'Authorization: Bearer x', '--header', 'X-Tenant: 1', '--cookie', 'a=1; b=2'],
      ...['--data', `@${join(folder, 'body.json')}`, '--origin', 'https://app.example.org'],
      ...[
        '--timeout',
        '1m',
        '--insecure',
        '--compare',
        'http://10.0.0.5:3000/',
        '--json',
        '--fail-on',
        'note',
      ],
    ]
    expect(await readInvocation([...args, URL_ARG])).toEqual({
      url: new URL(URL_ARG),
      directUrl: new URL('http://10.0.0.5:3000/'),
      options: {
        headers: { authorization: 'Bearer x', 'x-tenant': '1' },
        cookie: 'a=1; b=2',
        data: '{"a":"é"}',
        origin: 'https://app.example.org',
        timeout: 60_000,
        insecure: true,
      },
      isJson: true,
      failOn: 'note',
    })
  })

  test.each([
    [[], 'No URL was given. Usage: npx spillway doctor <url>'],
    [[URL_ARG, 'http://b/'], '"http://b/" is a second URL. Use --compare to compare two URLs.'],
    [[URL_ARG, '--compare', 'b:80'], '"b:80" has no protocol. Write https://b:80'],
    [[URL_ARG, '--header', 'accept: */*'], '--header cannot set accept, because the doctor sends several.'],
    [[URL_ARG, '--header', 'Origin: http://b'], '--header cannot set origin, use --origin.'],
    [
      [URL_ARG, '--header', 'Cookie: a=1', '--cookie', 'b=2'],
      '--header and --cookie both set cookies. Use one of them.',
    ],
    [[URL_ARG, '--cookie', 'a=\0'], '--cookie has a character that a header cannot have.'],
    [[URL_ARG, '--data', '@missing.json'], '--data cannot read the file "missing.json" (ENOENT).'],
    [
      [URL_ARG, '--origin', 'https://a.example/'],
      '--origin "https://a.example/" is not an origin. Write https://a.example.',
    ],
    [
      [URL_ARG, '--origin', 'null'],
      '--origin "null" is not an origin. An origin is such as https://example.org.',
    ],
    [[URL_ARG, '--timeout', '18'], '--timeout "18" has no unit. Write 18s or 18ms.'],
    [
      [URL_ARG, '--fail-on', 'warn'],
      '--fail-on "warn" is not a value of this flag. The values are problem, warning, note, never.',
    ],
    [[URL_ARG, '--headers', 'a: b'], 'Unknown flag --headers. Did you mean --header?'],
  ])('is rejected with %j', async (args, message) => {
    await expect(readInvocation(args)).rejects.toThrow(new UsageError(message))
  })
})
