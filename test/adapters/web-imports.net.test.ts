import { readFileSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { join, relative } from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')

/** What a file of the built package, or of a package that it needs, loads. */
function importsOf(file: string): string[] {
  return ts
    .preProcessFile(readFileSync(file, 'utf8'), true, true)
    .importedFiles.map(({ fileName }) => fileName)
}

/** The files that an entry loads, with all that these load, and the builtins among it. */
function loadedBy(entry: string) {
  const files = new Set<string>()
  const builtins = new Map<string, string>()
  const load = (file: string) => {
    if (files.has(file)) return
    files.add(file)
    const { resolve } = createRequire(file)
    for (const specifier of importsOf(file)) {
      if (isBuiltin(specifier)) builtins.set(specifier, relative(root, file))
      else load(resolve(specifier))
    }
  }
  load(join(root, entry))
  return { files: [...files].map((file) => relative(root, file)), builtins: [...builtins.keys()] }
}

// An edge runtime refuses a program that names a module which it lacks.
test.each(['esm', 'cjs'])(
  'what spillway/web loads, as %s, names no builtin of Node but its events',
  (format) => {
    const { files, builtins } = loadedBy(`dist/${format}/adapters/web.js`)
    expect(builtins).toEqual(['node:events'])
    expect(files).toContain(`dist/${format}/stream/stream.js`)
  },
)

test('the builtins that something loads are found: what answers a request of Node loads its server', () => {
  expect(loadedBy('dist/esm/index.js').builtins).toContain('node:http')
})
