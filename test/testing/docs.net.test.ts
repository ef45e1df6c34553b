import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { EventsClient } from '../../src/testing/events-client.ts'
import { openEvents } from '../../src/testing/open-events.ts'

const root = join(import.meta.dirname, '..', '..')
const page = readFileSync(join(root, 'docs/testing.md'), 'utf8')
const examples = [...page.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code = '']) => code)

describe('docs/testing.md', () => {
  it.each(examples.map((code) => [/test\('(.*?)'/.exec(code)?.[1], code]))(
    'contains an example that passes: %s',
    async (_, code = '') => {
      expect(await run(code)).toMatch(/# pass 1\n# fail 0/)
    },
  )

  it('lists exactly the options of openEvents', async () => {
    const [own = '', ofRequest = ''] = sectionOf('Options').split('those of the request')
    const unknown: object = { unknown: 1 }
    const withResponse = await openEvents(new Response(), unknown).catch(String)
    const withTarget = await openEvents('http://localhost/', unknown).catch(String)
    expect(withResponse).toContain(`Known options: ${namesIn(own).join(', ')}.`)
    expect(withTarget).toContain(`Known options: ${[...namesIn(own), ...namesIn(ofRequest)].join(', ')}.`)
  })

  it('lists exactly the members of EventsClient', () => {
    const members = Object.getOwnPropertyNames(EventsClient.prototype).filter(
      (name) => name !== 'constructor',
    )
    expect(namesIn(sectionOf('The client')).sort()).toEqual(['status', 'headers', 'for', ...members].sort())
  })
})

function sectionOf(heading: string): string {
  return page.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
}

/** Returns the names in the first column of the tables in a text. */
function namesIn(text: string): string[] {
  const cells = text.match(/^\| `[^|]*\|/gm) ?? []
  return cells.flatMap((cell) => [...cell.matchAll(/`(\w+)/g)].map(([, name = '']) => name))
}

/** Runs an example in the root folder, so that `spillway` resolves to this package. */
function run(code: string): Promise<string> {
  const args = ['--test-reporter=tap', '--input-type=module', '--eval', code]
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: root, timeout: 30_000 }, (_, stdout, stderr) =>
      resolve(stdout + stderr),
    )
  })
}
