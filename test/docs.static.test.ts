import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { blocksOf, brokenLinksOf, pages, root } from './docs/pages.ts'
import { typeErrorsOf } from './docs/type-check.ts'

describe('links', () => {
  test.each(pages)('of $name lead to files and headings that exist', (page) => {
    expect(brokenLinksOf(page)).toEqual([])
  })
})

describe('code blocks', () => {
  // The compiler reads the declarations of all frameworks, which takes minutes on a busy machine.
  test('type-check against the declarations of the package', { timeout: 300_000 }, () => {
    expect(typeErrorsOf(pages.flatMap(blocksOf))).toEqual([])
  })

  test('fail the type check for a wrong option, a wrong type and an unknown name', () => {
    const text = [
      ...['```ts', `import { encode } from 'spillway'`, `encode({ data: '', retry: 'soon' })`, '```'],
      ...['```js', `import { nothing } from 'spillway'`, 'document.title', '```'],
      ...['<!-- browser -->', '```js', 'document.title', '```'],
      ...['<!-- fragment -->', '```js', 'notChecked', '```'],
    ].join('\n')
    expect(
      typeErrorsOf(blocksOf({ name: 'docs/sample.md', text })).map((each) => each.split(' ')[0]),
    ).toEqual(['docs/sample.md:3', 'docs/sample.md:6', 'docs/sample.md:7'])
  })
})

describe('timers', () => {
  // A browser page ends its timers itself.
  const examples = readdirSync(join(root, 'examples'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.[jt]sx?$/.test(name) && !/public|node_modules|\.next/.test(name))
    .map((name) => ({ name, code: readFileSync(join(root, 'examples', name), 'utf8') }))
  const blocks = pages.flatMap(blocksOf).map(({ page, line, code }) => ({ name: `${page}:${line}`, code }))

  test('are cleared in every sample and example that starts an interval, unless the process exits', () => {
    const starting = [...blocks, ...examples].filter(({ code }) => code.includes('setInterval('))
    expect(starting.length).toBeGreaterThan(15)
    const ends = /clearInterval|gracefulShutdown/
    expect(starting.filter(({ code }) => !ends.test(code)).map(({ name }) => name)).toEqual([])
  })
})
