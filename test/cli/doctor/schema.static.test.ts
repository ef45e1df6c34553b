import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'
import { finding } from '../../../src/cli/doctor/catalog.ts'
import { comparisonOf } from '../../../src/cli/doctor/compare.ts'
import { jsonText } from '../../../src/cli/json-text.ts'
import { reportWith } from '../../support/doctor-reports.ts'
import { programOf, type Schema, schemaOf } from '../../support/json-schema.ts'

const TYPES = [
  ['doctor-report', 'src/cli/doctor/finding.ts', 'Report'],
  ['doctor-comparison', 'src/cli/doctor/comparison.ts', 'Comparison'],
] as const

const program = programOf(TYPES.map(([, file]) => file))

describe.each(TYPES)('schemas/%s.json', (name, file, type) => {
  const path = join(import.meta.dirname, '../../../schemas', `${name}.json`)

  // UPDATE_SCHEMAS=1 writes the file.
  test(`is the schema of the type ${type}`, () => {
    const schema = {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      title: `npx spillway doctor: ${type}`,
      ...schemaOf(program, file, type),
    }
    if (process.env.UPDATE_SCHEMAS) writeFileSync(path, `${JSON.stringify(schema, undefined, 2)}\n`)
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(schema)
  })
})

const validatorOf = (name: string) => {
  const path = join(import.meta.dirname, '../../../schemas', `${name}.json`)
  return new Ajv2020({ allErrors: true }).compile(JSON.parse(readFileSync(path, 'utf8')) as Schema)
}

describe('the schemas of the doctor', () => {
  const isReport = validatorOf('doctor-report')
  const isComparison = validatorOf('doctor-comparison')
  const report = reportWith({ findings: [finding('status', 'The status is 404.')], proxies: ['nginx'] })
  const empty = reportWith({ status: undefined, timeToHeaders: undefined, longestSilence: undefined })

  test('are valid for the JSON of reports and comparisons', () => {
    for (const each of [report, empty]) {
      isReport(JSON.parse(jsonText(each)))
      expect(isReport.errors).toBe(null)
      isComparison(JSON.parse(jsonText(comparisonOf(each, reportWith()))))
      expect(isComparison.errors).toBe(null)
    }
  })

  test.each([
    ['an unknown member', { ...report, more: 1 }],
    ['an unknown member of a finding', { ...report, findings: [{ ...report.findings[0], more: 1 }] }],
    ['an unknown code', { ...report, findings: [{ ...report.findings[0], code: 'nonsense' }] }],
    ['an unknown level', { ...report, findings: [{ ...report.findings[0], level: 'error' }] }],
    ['a missing member', { ...report, url: undefined }],
    ['another type', { ...report, status: '200' }],
  ])('are closed to %s', (_, value) => {
    expect(isReport(JSON.parse(JSON.stringify(value)))).toBe(false)
    const comparison = { ...comparisonOf(report, report), proxied: value }
    expect(isComparison(JSON.parse(JSON.stringify(comparison)))).toBe(false)
  })
})
