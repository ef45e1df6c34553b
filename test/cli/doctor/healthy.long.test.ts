import { expect, test } from 'vitest'
import { examine } from '../../../src/cli/doctor/examine.ts'
import { HEALTHY_SERVERS } from '../../support/doctor/healthy-servers.ts'

test.each(Object.entries(HEALTHY_SERVERS))('finds no problem and no warning in %s', async (name, start) => {
  const report = await examine(await start(), { insecure: true })
  expect(report.findings.filter(({ level }) => level !== 'note')).toEqual([])
  expect(report.events).toBeGreaterThan(5)
  console.log(
    `${name}: ${Math.round(report.duration)} ms, ${report.findings.map(({ code }) => code).join(', ') || 'no finding'}`,
  )
})

test.each([
  ['spillway with HTTP/2', ['HTTP/1.1', 'HTTP/2']],
  ['spillway with HTTP/2 only', ['HTTP/2']],
])('examines %s over each protocol that it supports', async (name, protocols) => {
  const report = await examine((await HEALTHY_SERVERS[name]?.()) ?? '', { insecure: true })
  expect(report.protocols).toEqual(protocols)
})
