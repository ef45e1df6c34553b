import { expect, test } from 'vitest'
import * as checks from '../../../../src/cli/doctor/checks/limited.ts'
import { evidence, response } from '../../../support/doctor-evidence.ts'
import { judge, messageOf } from './judge.ts'

test('requests that a limit refuses are noted with their number', () => {
  const found = evidence({ identity: response(429), head: response(503), anyAccept: response(200) })
  expect(judge(checks, found)).toEqual(['limited note'])
  expect(messageOf(checks.limited, found)).toBe(
    '2 of 4 requests were refused with the status 429 or 503, so that they could not be judged.',
  )
})

test('a limit that refuses the stream itself is another finding', () => {
  expect(judge(checks, evidence({ main: response(503) }))).toEqual([])
  expect(judge(checks, evidence({ identity: response(404) }))).toEqual([])
})
