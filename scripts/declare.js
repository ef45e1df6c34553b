import { execFileSync } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

// Emits the declarations beside the code that tsup built. CommonJS gets a copy, because the nearest package.json decides
// how TypeScript reads a declaration.

const root = join(import.meta.dirname, '..')
const [esm, cjs] = [join(root, 'dist/esm'), join(root, 'dist/cjs')]
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')

execFileSync(process.execPath, [tsc, '--project', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' })

for (const name of readdirSync(esm, { recursive: true }).filter((each) => each.endsWith('.d.ts'))) {
  const text = readFileSync(join(esm, name), 'utf8')
  // tsc leaves the `.ts` of the sources in a declaration.
  writeFileSync(
    join(esm, name),
    text.replace(/\b(from |import |import\()(['"])(\.\.?\/[^'"\n]+)\.ts\2/g, '$1$2$3.js$2'),
  )
  cpSync(join(esm, name), join(cjs, name))
}
