import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { textOf } from '../../../src/cli/doctor/explain.ts'

const folder = join(import.meta.dirname, '../../../docs/doctor')

describe('the text of a page of the doctor', () => {
  test('has the paths of other pages, and no comments', () => {
    const page =
      'A [hub](../hub.md) has\n[ids](../hub.md#ids), see [status](status.md).\n\n<!-- fragment -->\n\n```js\n'
    expect(textOf(page)).toBe('A hub (docs/hub.md) has\nids (docs/hub.md), see status.\n\n```js\n')
  })

  test.each(readdirSync(folder))('has no link and no comment: %s', (name) => {
    expect(textOf(readFileSync(join(folder, name), 'utf8'))).not.toMatch(/\]\(|<!--/)
  })
})
