import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { publicDeclarations } from './public-declarations.js'

// Emits the declarations beside the code that tsup built. Both formats get the same text, because the nearest
// package.json decides how TypeScript reads it.

const root = join(import.meta.dirname, '..')
const emitted = join(root, 'dist/declarations')
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const types = Object.values(exports).flatMap((entry) => entry.import?.types ?? [])
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')

execFileSync(process.execPath, [tsc, '--project', 'tsconfig.build.json', '--outDir', emitted], {
  cwd: root,
  stdio: 'inherit',
})

for (const [file, text] of publicDeclarations(types.map((path) => path.replace('./dist/esm', emitted)))) {
  for (const format of ['esm', 'cjs']) write(join(root, 'dist', format, relative(emitted, file)), text)
}
rmSync(emitted, { recursive: true })

/** Writes a declaration with the `.js` of the built files, where tsc leaves the `.ts` of the sources. */
function write(file, text) {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text.replace(/\b(from |import\()(['"])(\.[^'"\n]+)\.ts\2/g, '$1$2$3.js$2'))
}
