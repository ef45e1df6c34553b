import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'

// Removes from `dist` the files that no entry and no command of package.json reaches. Such files are modules that hold
// only types, and declarations that no public type needs.

const root = join(import.meta.dirname, '..')
const dist = join(root, 'dist')
const { bin, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const reached = new Set([join(dist, 'cjs/package.json')])

for (const path of [...pathsIn(exports), ...pathsIn(bin)]) reach(join(root, path))

for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
  const file = join(entry.parentPath, entry.name)
  if (entry.isFile() && !reached.has(file)) rmSync(file)
}

function pathsIn(conditions) {
  return typeof conditions === 'string' ? [conditions] : Object.values(conditions).flatMap(pathsIn)
}

/** Adds a file and all files that it imports. */
function reach(file) {
  if (reached.has(file)) return
  reached.add(file)
  const extension = file.endsWith('.d.ts') ? '.d.ts' : '.js'
  const { importedFiles } = ts.preProcessFile(readFileSync(file, 'utf8'), true, true)
  for (const { fileName } of importedFiles.filter((each) => each.fileName.startsWith('.'))) {
    reach(join(dirname(file), fileName.replace(/\.js$/, extension)))
  }
}
