import { execFileSync } from 'node:child_process'
import { cpSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

// Builds into `dist`, or into the folder that is named. File by file, not bundled: all entries share one `SseStream`, in both formats, and a stack trace names the source.

const root = join(import.meta.dirname, '..')
const dist = process.argv[2] ?? join(root, 'dist')
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
const compile = (config, format) =>
  execFileSync(process.execPath, [tsc, '--project', config, '--outDir', join(dist, format)], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  })

rmSync(dist, { recursive: true, force: true })
compile('tsconfig.build.json', 'esm')
compile('tsconfig.cjs.json', 'cjs')

// The same declarations, read as those of CommonJS.
const isDeclaration = (file) => !file.endsWith('.js') && !file.endsWith('.js.map')
cpSync(join(dist, 'esm'), join(dist, 'cjs'), { recursive: true, filter: isDeclaration })
writeFileSync(join(dist, 'cjs', 'package.json'), '{ "type": "commonjs", "sideEffects": false }\n')
