import { readFileSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { join, relative } from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')

/** Returns what a file of the built package, or of one of its dependencies, loads. */
function importsOf(file: string): string[] {
  return ts
    .preProcessFile(readFileSync(file, 'utf8'), true, true)
    .importedFiles.map(({ fileName }) => fileName)
}

/** Returns all files that an entry loads, directly or indirectly, and the builtins among them. */
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

// An edge runtime rejects a program that imports a module it does not have.
test.each(['esm', 'cjs'])('spillway/web, as %s, loads no Node.js builtin but node:events', (format) => {
  const { files, builtins } = loadedBy(`dist/${format}/adapters/web.js`)
  expect(builtins).toEqual(['node:events'])
  expect(files).toContain(`dist/${format}/stream/stream.js`)
})

test('the search for builtins finds node:http in spillway/testing', () => {
  expect(loadedBy('dist/esm/testing/index.js').builtins).toContain('node:http')
})
