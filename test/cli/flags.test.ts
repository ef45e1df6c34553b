import { describe, expect, expectTypeOf, test } from 'vitest'
import { type FlagTable, readFlags } from '../../src/cli/flags.ts'
import { UsageError } from '../../src/cli/usage-error.ts'

const TABLE = { header: 'list', data: 'text', json: 'switch', 'fail-on': 'text' } as const satisfies FlagTable

describe('readFlags', () => {
  test('returns texts, lists, switches and the other arguments', () => {
    const args = ['http://a/', '--header', 'A: 1', '--json', '--header=B: 2', '--data=--x', 'more']
    expect(readFlags(args, TABLE)).toEqual({
      flags: { header: ['A: 1', 'B: 2'], data: '--x', json: true, 'fail-on': undefined },
      positionals: ['http://a/', 'more'],
    })
  })

  test('returns the type of each flag', () => {
    const { flags } = readFlags([], TABLE)
    expectTypeOf(flags.header).toEqualTypeOf<readonly string[]>()
    expectTypeOf(flags['fail-on']).toEqualTypeOf<string | undefined>()
    expectTypeOf(flags.json).toEqualTypeOf<boolean>()
    expect(flags).toEqual({ header: [], data: undefined, json: false, 'fail-on': undefined })
  })

  test('accepts the flags of every command', () => {
    expect(readFlags(['--no-color', '-h', '--help'], TABLE).positionals).toEqual([])
  })

  test('reads arguments after two dashes as they are', () => {
    expect(readFlags(['--', '--json'], TABLE)).toMatchObject({
      flags: { json: false },
      positionals: ['--json'],
    })
  })

  test.each([
    [['--haeder', 'A: 1'], 'Unknown flag --haeder. Did you mean --header?'],
    [['--fail-om=note'], 'Unknown flag --fail-om. Did you mean --fail-on?'],
    [['--colour'], 'Unknown flag --colour. --help shows the flags.'],
    [['-x'], 'Unknown flag -x. --help shows the flags.'],
    [['--constructor'], 'Unknown flag --constructor. --help shows the flags.'],
    [['--__proto__'], 'Unknown flag --__proto__. --help shows the flags.'],
    [['--data'], '--data needs a value.'],
    [['--data='], '--data needs a value.'],
    [['--data', '--json'], '--data needs a value. Write --data=--json if the value begins with a dash.'],
    [['--data', '1', '--data', '2'], '--data was given twice.'],
    [['--json=yes'], '--json has no value.'],
  ])('rejects %j', (args, message) => {
    expect(() => readFlags(args, TABLE)).toThrow(new UsageError(message))
  })
})
