import type { Level } from '../finding.ts'

/** The properties that all findings of a code share. */
export interface Entry {
  readonly level: Level
  readonly meaning: string
  readonly advice: string
}
