import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { spillway } from '../support/spillway-command.ts'

describe('npx spillway', () => {
  test('prints its commands', async () => {
    const help = await spillway('--help')
    expect(help).toMatchObject({ status: 0, errors: '' })
    expect(help.output).toMatch(
      /^Usage: npx spillway <command> \[options\]\n[\s\S]* doctor <url> [\s\S]* load <url> /,
    )
    expect(await spillway('help', 'doctor')).toEqual(await spillway('doctor', '-h'))
    expect(await spillway()).toEqual({ status: 2, output: '', errors: help.output })
  })

  test('prints the version of the package', async () => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'))
    const expected = { status: 0, output: `${version}\n`, errors: '' }
    expect([await spillway('--version'), await spillway('-v')]).toEqual([expected, expected])
  })

  test.each([
    [['docter'], 'Unknown command docter. Did you mean doctor?'],
    [['constructor'], 'Unknown command constructor. The commands are doctor and load.'],
    [['--verbose'], 'Unknown flag --verbose. The commands are doctor and load.'],
    [['http://a/'], 'A command is missing before the URL. Did you mean doctor http://a/?'],
    [['a\x1b[2J'], 'Unknown command a\\u001b[2J. The commands are doctor and load.'],
  ])('rejects %j in one line', async (args, message) => {
    expect(await spillway(...args)).toEqual({ status: 2, output: '', errors: `spillway: ${message}\n` })
  })
})
