import { expect } from 'vitest'
import type { Check } from '../../../../src/cli/doctor/checks/check.ts'
import type { Evidence } from '../../../../src/cli/doctor/evidence.ts'

/** Returns the codes and levels that all checks of a module find, in their order. */
export function judge(checks: Readonly<Record<string, Check>>, evidence: Evidence): string[] {
  const findings = Object.values(checks).flatMap((check) => check(evidence))
  for (const { message, meaning, advice } of findings) {
    for (const text of [message, meaning, advice]) expect(text).toMatch(/^\S[^\n\r]*\.$/)
  }
  return findings.map(({ code, level }) => `${code} ${level}`).sort()
}

/** Returns the message of the only finding. */
export function messageOf(check: Check, evidence: Evidence): string {
  const findings = check(evidence)
  expect(findings).toHaveLength(1)
  return findings[0]?.message ?? ''
}
