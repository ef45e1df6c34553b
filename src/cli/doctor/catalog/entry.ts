import type { Level } from '../finding.ts'

/** What all findings of a code have in common. */
export interface Entry {
  readonly level: Level
  readonly meaning: string
  readonly advice: string
}
