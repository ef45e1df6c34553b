import { expect, test } from 'vitest'
import { configurationOf } from '../../../src/cli/doctor/configuration.ts'
import { KNOWN_PROXIES } from '../../../src/cli/doctor/proxies.ts'
import { pageOf } from '../../docs/pages.ts'

// haproxy names itself in no header, so that it is known in no response.
const configurations = [...KNOWN_PROXIES, 'haproxy'].flatMap((name) => configurationOf(name) ?? [])

test('docs/proxies.md has the lines of each configuration that the doctor prints', () => {
  const blocks = [...pageOf('docs/proxies.md').matchAll(/^```\w+\n([\s\S]*?)\n```$/gm)].map(
    ([, lines]) => lines,
  )
  const lines = configurations.flatMap((each) => each.lines ?? [])
  expect(lines).toHaveLength(5)
  expect(lines.filter((each) => !blocks.includes(each))).toEqual([])
})

test('docs/proxies.md names each proxy whose configuration the doctor prints', () => {
  const page = pageOf('docs/proxies.md')
  expect(
    configurations.filter(({ proxy }) => !page.includes(`| ${proxy}`) && !page.includes(`, ${proxy}`)),
  ).toEqual([])
  expect(configurations.length).toBeGreaterThan(12)
})
