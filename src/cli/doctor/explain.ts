import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { nearMiss } from '../near-miss.ts'
import { UsageError } from '../usage-error.ts'
import { FINDING_CODES } from './catalog.ts'
import { pageOf } from './report-text.ts'

// The root of the package, from `dist/esm/cli/doctor`.
const ROOT = join(import.meta.dirname, '../../../..')

/** Returns the text of the page on a code, which the package contains. Throws `UsageError` for an unknown one. */
export async function explain(code: string): Promise<string> {
  const known = FINDING_CODES.find((each) => each === code)
  if (known !== undefined) return textOf(await readFile(join(ROOT, pageOf(known)), 'utf8'))
  const near = nearMiss(code, FINDING_CODES)
  throw new UsageError(
    `--explain ${code} is not a code of a finding. ${near ? `Did you mean ${near}?` : `The codes are ${FINDING_CODES.join(', ')}.`}`,
  )
}

/** Returns a page as it is read in a terminal, without comments, and with the paths of other pages instead of links. */
export function textOf(page: string): string {
  return page
    .replace(/^<!--.*-->\n+/gm, '')
    .replace(/\[([^\]]+)\]\(\.\.\/([^)#]+)[^)]*\)/g, '$1 (docs/$2)')
    .replace(/\[([^\]]+)\]\([\w-]+\.md[^)]*\)/g, '$1')
}
