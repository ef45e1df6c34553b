import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { FINDING_CODES, finding } from '../../../src/cli/doctor/catalog.ts'
import { pageOf, root, sectionsOf } from '../../docs/pages.ts'

const names = readdirSync(join(root, 'docs/doctor')).map((name) => name.replace(/\.md$/, ''))

test('each code has a page, and each page a code', () => {
  expect(names.sort()).toEqual([...FINDING_CODES].sort())
})

describe.each(FINDING_CODES)('the page of %s', (code) => {
  const name = `docs/doctor/${code}.md`
  const lines = pageOf(name).split('\n')

  test('begins with the code, its usual level and a message', () => {
    expect(lines[0]).toBe(`# ${code}`)
    expect(lines[2]).toMatch(new RegExp(`^Level: ${finding(code, '').level}\\.`))
    expect(lines[4]).toMatch(/^> \S.*\.$/)
  })

  test('states what to change and how to verify it, in at most 45 lines', () => {
    const sections = sectionsOf(name)
    expect(sections.map(({ heading }) => heading)).toEqual(['What to change', 'How to verify'])
    for (const { text, heading } of sections) expect(text.slice(heading.length).trim()).not.toBe('')
    expect(lines.length).toBeLessThanOrEqual(45)
  })
})
