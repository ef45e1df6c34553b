import { expect, test } from 'vitest'
import { HELP } from '../../../src/cli/doctor/help.ts'
import { FLAGS } from '../../../src/cli/doctor/options-from-flags.ts'
import { sectionOf } from '../../docs/pages.ts'

const flags = [...Object.keys(FLAGS), 'no-color', 'help'].map((name) => `--${name}`)

test('--help and docs/doctor.md describe each flag of the doctor in the same order', () => {
  const inHelp = [...HELP.matchAll(/^ {2}(--[\w-]+)/gm)].map(([, flag]) => flag)
  const inPage = [...sectionOf('docs/doctor.md', 'Options').matchAll(/^\| `(--[\w-]+)/gm)].map(
    ([, flag]) => flag,
  )
  expect({ inHelp, inPage }).toEqual({ inHelp: flags, inPage: flags })
})

test('--help has no line of more than 120 characters', () => {
  expect(HELP.split('\n').filter((line) => line.length > 120)).toEqual([])
})
