import type { Evidence } from '../evidence.ts'
import type { Finding } from '../finding.ts'

/**
 * Judges the evidence. A check MUST ignore exchanges that were not sent or have failed, unless it is about the failure.
 */
export type Check = (evidence: Evidence) => readonly Finding[]
