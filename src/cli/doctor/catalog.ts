import { DELIVERY } from './catalog/delivery.ts'
import type { Entry } from './catalog/entry.ts'
import { RESPONSE } from './catalog/response.ts'
import type { Finding, Level } from './finding.ts'

// Each code has a page in `docs/doctor`.
const CATALOG = { ...RESPONSE, ...DELIVERY }

/** The codes of findings. */
export type FindingCode = keyof typeof CATALOG

/** All codes, in the order of the documentation. */
export const FINDING_CODES = Object.keys(CATALOG) as readonly FindingCode[]

/** Returns the finding of a code. `message` has the figure. `level` replaces that of the catalog. */
export function finding(code: FindingCode, message: string, level?: Level): Finding {
  const entry: Entry = CATALOG[code]
  return { code, level: level ?? entry.level, message, meaning: entry.meaning, advice: entry.advice }
}
